/** A handler whose module takes longer to load than a handler may take. */
import { setTimeout as delay } from 'node:timers/promises';

await delay(500);

export default function handle(_command, { attempt }) {
  if (attempt === 1) for (;;);
}
