import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { Arrivals } from './check.mjs';

async function writeAll(stream, count) {
  for (let i = 0; i < count; i++) if (!stream.write(i)) await once(stream, 'drain');
  stream.end();
}

/** Read with `for await`, which awaits each item as `take` does. */
export async function iteration({ count }) {
  const arrivals = new Arrivals();
  const stream = new PassThrough({ objectMode: true, highWaterMark: 1024 });
  await Promise.all([
    writeAll(stream, count),
    (async () => {
      for await (const item of stream) arrivals.add(item);
    })(),
  ]);
  arrivals.check(count);
}

/** Read by 'data' events, which never wait: the fastest way to read a stream. */
export async function dataEvents({ count }) {
  const arrivals = new Arrivals();
  const stream = new PassThrough({ objectMode: true, highWaterMark: 1024 });
  stream.on('data', (item) => arrivals.add(item));
  await Promise.all([writeAll(stream, count), once(stream, 'end')]);
  arrivals.check(count);
}
