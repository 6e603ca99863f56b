// The guide's program: where it connects and its options come from the command line, and what it hears goes to the
// standard output, one JSON array a line.
import { io } from 'socket.io-client';

const say = (...heard) => console.log(JSON.stringify(heard));
const socket = io(process.argv[2], JSON.parse(process.argv[3]));

socket.on('connect', () => say('connect'));
socket.on('connect_error', (error) => say('connect_error', error.message));
socket.on('disconnect', (reason) => say('disconnect', reason));
socket.on('resync', (data, seq) => say('resync', data, seq));

// Campaign yangilanishlarni tinglash
socket.on('campaign-update', (data, seq) => {
  say('campaign-update', data, seq);
});

// Campaign tugaganda
socket.on('campaign-complete', (data, seq) => {
  say('campaign-complete', data, seq);
});

// Kontakt yangilanishlari
socket.on('contact-update', (data, seq) => {
  say('contact-update', data, seq);
});
