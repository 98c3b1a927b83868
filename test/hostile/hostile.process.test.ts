import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { countInReport } from '../support/amounts.js';
import { AmqpServer } from './amqp-server.js';
import { type Outcomes, type Scene, scenes } from './scenes.js';

const CLIENT = fileURLToPath(new URL('./processes/client.mjs', import.meta.url));
/** A client that is blocked for good is ended; each of its waits has a limit of one or two seconds. */
const LIMIT_MS = 90_000;
/** Of the processor, not by the clock: other programs take none of it. */
const MAX_BUSY_MS = 3000;
const MAX_GROWTH_BYTES = 200 * 1024 * 1024;

interface Report {
  readonly outcomes: Outcomes;
  readonly handled: number;
  readonly longestBusy: number;
  readonly growthBytes: number;
}

async function play({ script }: Scene): Promise<Report> {
  const server = await AmqpServer.start(script);
  try {
    const child = spawn(process.execPath, [CLIENT, server.url], { timeout: LIMIT_MS, killSignal: 'SIGKILL' });
    const [[code, signal], output, errors] = await Promise.all([
      once(child, 'close'),
      text(child.stdout),
      text(child.stderr),
    ]);
    expect({ code, signal, errors: errors.replace(/^\(node.*\n?/gm, '') }).toMatchObject({
      code: 0,
      signal: null,
    });
    return JSON.parse(output);
  } finally {
    await server.close();
  }
}

describe.concurrent('a client of a hostile server neither crashes nor blocks nor waits for ever', () => {
  for (const [title, scene] of Object.entries(scenes)) {
    test(title, async (context) => {
      countInReport(context, 'hostile scenes');
      const report = await play(scene);
      const ends = Object.values(report.outcomes);
      context.expect(ends.filter((end) => end.startsWith('not a QueueError'))).toEqual([]);
      context.expect(report.outcomes).toMatchObject(scene.outcomes ?? {});
      context.expect(report.longestBusy).toBeLessThan(MAX_BUSY_MS);
      context.expect(report.growthBytes).toBeLessThan(MAX_GROWTH_BYTES);
      context.expect(report.handled).toBeGreaterThanOrEqual(scene.handles ?? 0);
    });
  }
});
