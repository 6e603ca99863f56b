"""The deployment: what it is made of, how it is built and how it reaches a cloud or a laptop."""
