import { TransformStream } from 'node:stream/web';
import { Arrivals } from './check.mjs';

export async function readyAndRead({ count }) {
  const arrivals = new Arrivals();
  const room = new CountQueuingStrategy({ highWaterMark: 1024 });
  const { readable, writable } = new TransformStream(
    {},
    room,
    new CountQueuingStrategy({ highWaterMark: 0 }),
  );
  const writer = writable.getWriter();
  const reader = readable.getReader();
  await Promise.all([
    (async () => {
      for (let i = 0; i < count; i++) {
        await writer.ready;
        writer.write(i);
      }
      await writer.close();
    })(),
    (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        arrivals.add(value);
      }
    })(),
  ]);
  arrivals.check(count);
}
