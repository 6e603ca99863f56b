"""The whole system on a laptop: the packaged template on an emulator, behind one port."""
