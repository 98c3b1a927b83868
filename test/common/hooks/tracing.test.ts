import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import {
  type ConsumerOptions,
  connect,
  createConsumer,
  createProducer,
  defineQueue,
  type Handler,
  type ProcessTrace,
  type SendTrace,
} from '../../../src/index.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';

const sends = tracingChannel<unknown, SendTrace>('millrace.send');
const processes = tracingChannel<unknown, ProcessTrace>('millrace.process');

/** What is told on a channel, as `start m1`. */
function listen<Trace extends { readonly id: string }>(
  channel: ReturnType<typeof tracingChannel<unknown, Trace>>,
  onStart: (trace: Trace) => void = () => {},
): { readonly said: string[]; readonly traces: Trace[] } {
  const said: string[] = [];
  const traces: Trace[] = [];
  const say = (name: string) => (trace: Trace) => {
    said.push(`${name} ${trace.id}`);
  };
  const listeners = {
    start: (trace: Trace) => {
      traces.push(trace);
      onStart(trace);
      say('start')(trace);
    },
    end: say('end'),
    asyncStart: say('asyncStart'),
    asyncEnd: say('asyncEnd'),
    error: say('error'),
  };
  channel.subscribe(listeners);
  onTestFinished(() => {
    channel.unsubscribe(listeners);
  });
  return { said, traces };
}

async function open(handler: Handler<string>, options: ConsumerOptions<string> = {}) {
  const queue = defineQueue('traced', z.string());
  const broker = await connect('local:');
  const consumer = createConsumer(broker, queue, handler, options);
  await consumer.start();
  onTestFinished(async () => {
    await consumer.stop();
    await broker.close();
  });
  return { producer: createProducer(broker, queue), consumer };
}

describe('millrace.send', () => {
  it('traces a send from its call until it is stored', async () => {
    const { producer } = await open(() => {});
    const { said, traces } = listen(sends);
    await producer.send('a', { id: 'm1', headers: { a: 'b' } });
    expect(said).toEqual(['start m1', 'end m1', 'asyncStart m1', 'asyncEnd m1']);
    expect(traces[0]).toMatchObject({ queue: 'traced', headers: { a: 'b' }, result: { id: 'm1' } });
  });

  it('tells why a send was rejected', async () => {
    const { producer } = await open(() => {});
    const { said, traces } = listen(sends);
    const error = await rejection(producer.send(5 as unknown as string, { id: 'm1' }), 'INVALID_MESSAGE');
    expect(said).toContain('error m1');
    expect(traces[0]?.error).toBe(error);
  });

  it('sends the headers that a listener adds, with the announced id', async () => {
    const received: unknown[] = [];
    const { producer } = await open((_, { id, headers }) => received.push([id, headers]));
    const { traces } = listen(sends, (trace) => {
      trace.headers.traceparent = `of ${trace.id}`;
    });
    const { id } = await producer.send('a', { headers: { a: 'b' } });
    await eventually(() => received.length > 0);
    expect(received).toEqual([[id, { a: 'b', traceparent: `of ${id}` }]]);
    expect(traces[0]?.id).toBe(id);
  });

  it('traces each message of sendMany', async () => {
    const { producer } = await open(() => {});
    const { traces } = listen(sends);
    await producer.sendMany(['a', 'b', 'c']);
    expect(new Set(traces.map(({ id }) => id)).size).toBe(3);
  });
});

describe('millrace.process', () => {
  it('publishes each run of a handler, and its error', async () => {
    recordWarnings('MILLRACE_ATTEMPT_FAILED');
    const failure = new Error('no luck');
    const { producer, consumer } = await open(
      (_, { attempt }) => {
        if (attempt === 1) throw failure;
        return 'done';
      },
      { retry: { delaysMs: [0] } },
    );
    const { said, traces } = listen(processes);
    await producer.send('a', { id: 'm1', correlationId: 'c' });
    await eventually(() => consumer.counts.handled === 1);
    const told = ['start m1', 'end m1', 'error m1', 'asyncStart m1', 'asyncEnd m1'];
    expect(said).toEqual([...told, ...told.filter((each) => each !== 'error m1')]);
    expect(traces).toMatchObject([
      { queue: 'traced', attempt: 1, redelivered: false, correlationId: 'c', error: failure },
      { queue: 'traced', attempt: 2, result: 'done' },
    ]);
  });

  it('runs the handler in the store that a listener has bound', async () => {
    const spans = new AsyncLocalStorage<string>();
    processes.start.bindStore(spans, ({ id }) => `span of ${id}`);
    onTestFinished(() => {
      processes.start.unbindStore(spans);
    });
    const seen: unknown[] = [];
    const { producer } = await open(async () => {
      await Promise.resolve();
      seen.push(spans.getStore());
    });
    listen(processes);
    await producer.send('a', { id: 'm1' });
    await eventually(() => seen.length > 0);
    expect(seen).toEqual(['span of m1']);
  });

  it('does not change the time limit of a handler', async () => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const { producer, consumer } = await open(() => new Promise(() => {}), {
      handlerTimeoutMs: 5,
      retry: { delaysMs: [] },
    });
    listen(processes);
    await producer.send('a');
    await eventually(() => consumer.counts.deadLettered === 1);
  });
});
