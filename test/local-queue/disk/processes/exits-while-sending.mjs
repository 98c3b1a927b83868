/**
 * Calls process.exit() while its store thread is busy, after so many milliseconds; without them, a second after a line
 * on standard input.
 * Usage: FOLDER [MILLISECONDS]
 */
import { connect, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const [folder, milliseconds] = process.argv.slice(2);
const broker = await connect(`local:${folder}`);
const producer = createProducer(broker, defineQueue('numbers', z.number()));
await producer.send(0);
const exitIn = (delay) => setTimeout(() => process.exit(7), delay);
if (milliseconds === undefined) process.stdin.once('data', () => exitIn(1000));
else exitIn(Number(milliseconds));
for (;;) await producer.sendMany(Array.from({ length: 1000 }, (_, index) => index));
