import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';
import { countInReport } from '../support/amounts.js';
import { AmqpServer } from './amqp-server.js';
import { type Outcomes, type Scene, scenes } from './scenes.js';

const CLIENTS = fileURLToPath(new URL('./processes/clients.mjs', import.meta.url));
/** Scenes of one process, all at once: most of them wait for the end of a time limit. */
const SCENES_A_PROCESS = 12;
/** What a client does that is expected to fail may take so long. */
const VAIN_LIMIT_MS = 1500;
/** What is expected to succeed does so at once, or on a slow machine in time. */
const OK_LIMIT_MS = 30_000;
/** A process that is blocked for good is ended. */
const LIMIT_MS = 90_000;
/** Processor time, not wall time: other programs do not affect it. */
const MAX_BUSY_MS = 5000;
const MAX_GROWTH_BYTES = 200 * 1024 * 1024;

interface Played {
  readonly outcomes: Outcomes;
  readonly handled: number;
}

interface Playing {
  /** What the process did wrong, or what was done to end it. */
  readonly faults: readonly string[];
  readonly played: ReadonlyMap<Scene, Played>;
}

async function play(together: readonly Scene[]): Promise<Playing> {
  const servers = new Map<string, AmqpServer>();
  const sceneAt = new Map<string, Scene>();
  for (const scene of together) {
    const server = await AmqpServer.start(scene.script);
    servers.set(`${server.url}#${scene.outcomes || scene.handles ? OK_LIMIT_MS : VAIN_LIMIT_MS}`, server);
    sceneAt.set(server.url, scene);
  }
  // With little room for garbage of short life, what is measured is what is held.
  const child = spawn(process.execPath, ['--max-semi-space-size=8', CLIENTS, ...servers.keys()], {
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  const [[code, signal], output, errors] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ]);
  await Promise.all([...servers.values()].map((server) => server.close()));
  const faults = code === 0 ? [] : [`the process ended with ${code ?? signal}: ${errors}`];
  const played = new Map<Scene, Played>();
  for (const line of output.split('\n').filter(Boolean)) {
    const { address, longestBusyMs, growthBytes, ...rest } = JSON.parse(line);
    const scene = sceneAt.get(address);
    if (scene !== undefined) played.set(scene, rest);
    if (longestBusyMs > MAX_BUSY_MS) faults.push(`the event loop was blocked for ${longestBusyMs} ms`);
    if (growthBytes > MAX_GROWTH_BYTES) faults.push(`memory grew by ${growthBytes} bytes`);
  }
  return { faults, played };
}

describe.concurrent('a client of a hostile server neither crashes nor blocks nor waits for ever', () => {
  const all = Object.entries(scenes);
  for (let from = 0; from < all.length; from += SCENES_A_PROCESS) {
    const group = all.slice(from, from + SCENES_A_PROCESS);
    let together: Promise<Playing> | undefined;
    for (const [title, scene] of group) {
      test(title, async (context) => {
        countInReport(context, 'hostile scenes');
        together ??= play(group.map(([, each]) => each));
        // Whose fault it was shows when each is played alone.
        const isClean = (await together).faults.length === 0;
        const { faults, played } = isClean ? await together : await play([scene]);
        const { outcomes = {}, handled = 0 } = played.get(scene) ?? {};
        const { expect } = context;
        expect(faults).toEqual([]);
        expect(Object.values(outcomes).filter((end) => end.startsWith('not a QueueError'))).toEqual([]);
        expect(outcomes).toMatchObject({ connect: expect.any(String), ...scene.outcomes });
        expect(handled).toBeGreaterThanOrEqual(scene.handles ?? 0);
      });
    }
  }
});
