import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import type { Backend, Broker, QueueStats } from '../../src/broker.js';
import { onTrace } from '../../src/common/hooks/tracing.js';
import { Deferred } from '../../src/common/waiting/waiting.js';
import { connect } from '../../src/connect.js';
import type { ConsumerOptions } from '../../src/consumer/consumer-options.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { Postpone, QueueError, RejectMessage } from '../../src/errors.js';
import { createMetrics, type MetricsOptions } from '../../src/metrics/index.js';
import { createProducer } from '../../src/producer/producer.js';
import { createRequester } from '../../src/producer/requester.js';
import { defineQueue } from '../../src/queue.js';
import { aroundBroker } from '../../src/testing/around-broker.js';
import { createPublisher } from '../../src/topics/publisher.js';
import { defineSubscription } from '../../src/topics/subscription.js';
import { defineTopic } from '../../src/topics/topic.js';
import { eventually, untilAsserted } from '../support/eventually.js';
import { rejection } from '../support/rejection.js';

const queue = defineQueue('orders', z.string());
let broker: Broker;
beforeEach(async () => {
  broker = await connect('local:');
});
afterEach(() => broker.close());

function metricsOf(options?: MetricsOptions) {
  const metrics = createMetrics(options);
  onTestFinished(() => metrics.stop());
  /** The value of a series; undefined if there is none. */
  const value = async (name: string, ...labels: readonly string[]) => {
    const lines = (await metrics.text()).split('\n');
    const line = lines.find(
      (each) => /^[^{ ]+/.exec(each)?.[0] === name && labels.every((label) => each.includes(label)),
    );
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  return { metrics, value };
}

async function consumer(handle: (value: string) => unknown, options: ConsumerOptions<string> = {}) {
  const made = createConsumer(broker, queue, handle, { observe: () => {}, ...options });
  await made.start();
  onTestFinished(async () => void (await made.stop()));
  return made;
}

test('sends are counted by queue, and those that fail by their code', async () => {
  const { value } = metricsOf();
  const producer = createProducer(broker, queue);
  await producer.send('a');
  await producer.sendMany(['b', 'c']);
  await rejection(producer.send(5 as unknown as string), 'INVALID_MESSAGE');
  const name = 'messaging_client_sent_messages_total';
  const labels = ['messaging_system="millrace"', 'messaging_destination_name="orders"'];
  expect(await value(name, ...labels, 'operation_name="send"}')).toBe(3);
  expect(await value(name, 'error_type="INVALID_MESSAGE"')).toBe(1);
  expect(await value('messaging_client_operation_duration_seconds_count', 'name="send"}')).toBe(3);
  expect(await value('millrace_sends_in_flight')).toBe(0);
});

test('what becomes of messages is counted, with the reasons of dead letters', async () => {
  const { value } = metricsOf();
  let postponed = false;
  const made = await consumer(
    (text) => {
      if (text === 'bad') throw new RejectMessage('bad');
      if (text === 'worse') throw new TypeError('worse');
      if (text === 'later' && !postponed) {
        postponed = true;
        throw new Postpone(0);
      }
    },
    { retry: { delaysMs: [0] } },
  );
  await createProducer(broker, queue).sendMany(['good', 'bad', 'worse', 'later']);
  await eventually(() => made.counts.deadLettered === 2 && made.counts.handled === 2);
  const settled = (outcome: string) => value('millrace_settled_messages_total', `outcome="${outcome}"`);
  expect(await settled('handled')).toBe(2);
  expect(await settled('retried')).toBe(1);
  expect(await settled('postponed')).toBe(1);
  expect(await settled('dead-lettered')).toBe(2);
  expect(await value('millrace_retries_total')).toBe(1);
  expect(await value('millrace_dead_letters_total', 'reason="rejected"')).toBe(1);
  expect(await value('millrace_dead_letters_total', 'reason="failed"')).toBe(1);
  expect(await value('messaging_client_consumed_messages_total')).toBe(6);
  expect(await value('messaging_process_duration_seconds_count', 'error_type="TypeError"')).toBe(2);
  expect(await value('millrace_time_in_queue_seconds_count')).toBe(4);
  expect(await value('millrace_handlers_in_flight')).toBe(0);
});

test('requests are timed from the call to the reply', async () => {
  const { value } = metricsOf();
  await consumer(() => 1);
  const requester = createRequester(broker, queue, { reply: z.number() });
  expect(await requester.request('x')).toBe(1);
  await requester.close();
  expect(await value('messaging_client_operation_duration_seconds_count', 'operation_name="request"')).toBe(
    1,
  );
});

test('brokers and queues are asked when the metrics are read', async () => {
  const { value } = metricsOf({ brokers: [broker], queues: [queue, 'missing'] });
  expect(await value('millrace_queue_ready')).toBeUndefined();
  await createProducer(broker, queue).sendMany(['a', 'b']);
  expect(await value('millrace_queue_ready', 'messaging_destination_name="orders"')).toBe(2);
  expect(await value('millrace_link_connected', 'broker="local:"')).toBe(1);
  expect(await value('millrace_queue_inspect_errors_total', '"missing"')).toBeGreaterThan(1);
  await broker.close();
  expect(await value('millrace_link_connected')).toBe(0);
  // What is no longer known is not shown as it was.
  expect(await value('millrace_queue_ready')).toBeUndefined();
});

test('a broker is asked for a bounded number of queues at once, and for no more once it is late', async () => {
  let underWay = 0;
  let most = 0;
  let answer: 'once' | 'never' = 'once';
  const inspect: Broker['inspect'] = async (name) => {
    most = Math.max(most, ++underWay);
    await new Promise(setImmediate);
    underWay--;
    if (answer === 'never') throw new QueueError('TIMEOUT', `inspecting '${name}'`);
    return broker.inspect(name);
  };
  const asked = vi.fn(inspect);
  const counting = Object.defineProperty(aroundBroker(broker as Backend, {}), 'inspect', { value: asked });
  await createProducer(broker, queue).send('x');
  const queues = Array.from({ length: 200 }, () => 'orders');
  const { value } = metricsOf({ brokers: [counting], queues });
  expect(await value('millrace_queue_ready', '"orders"')).toBe(1);
  expect(most).toBe(50);
  expect(asked).toHaveBeenCalledTimes(200);
  answer = 'never';
  expect(await value('millrace_queue_ready', '"orders"')).toBeUndefined();
  expect(asked).toHaveBeenCalledTimes(250);
  expect(await value('millrace_queue_inspect_errors_total', '"orders"')).toBe(400);
});

test('queues beyond a thousand are one series, with their sum and the age of the oldest', async () => {
  const inspect = async (name: string): Promise<QueueStats> => ({
    ...(await broker.inspect('orders')),
    ready: 2,
    oldestAgeMs: name === 'q1050' ? 9_000 : 1_000,
  });
  await createProducer(broker, queue).send('x');
  const counting = Object.defineProperty(aroundBroker(broker as Backend, {}), 'inspect', { value: inspect });
  const queues = Array.from({ length: 1100 }, (_, n) => `q${n}`);
  const { value } = metricsOf({ brokers: [counting], queues });
  const other = 'messaging_destination_name="other"';
  for (let scrape = 0; scrape < 2; scrape++) expect(await value('millrace_queue_ready', other)).toBe(200);
  expect(await value('millrace_queue_oldest_age_seconds', other)).toBe(9);
});

test('a name can not break out of its label, and ten thousand names make no ten thousand series', async () => {
  const { metrics } = metricsOf();
  await createProducer(broker, defineQueue('a"} 1 b \\', z.string())).send('x');
  const text = await metrics.text();
  expect(text).toContain('messaging_destination_name="a\\"} 1 b \\\\"');
  for (let i = 0; i < 1100; i++) await createProducer(broker, defineQueue(`q${i}`, z.string())).send('x');
  const lines = (await metrics.text()).split('\n');
  expect(lines.filter((line) => line.startsWith('messaging_client_sent')).length).toBeLessThan(1010);
  expect(lines.find((line) => line.includes('sent_messages_total{messaging_system="other"'))).toMatch(
    / 101$/,
  );
});

test('what began before the metrics is not counted, so that nothing is under way less than never', async () => {
  const nothing = () => {};
  onTestFinished(onTrace('millrace.process', { start: nothing, asyncEnd: nothing }));
  const begun = new Deferred();
  const end = new Deferred();
  const made = await consumer(() => {
    begun.resolve();
    return end.promise;
  });
  await createProducer(broker, queue).send('a');
  await begun.promise;
  const { value } = metricsOf();
  end.resolve();
  await eventually(() => made.counts.handled === 1);
  expect(await value('millrace_handlers_in_flight')).toBeUndefined();
  expect(await value('messaging_process_duration_seconds_count')).toBeUndefined();
  expect(await value('millrace_settled_messages_total', 'outcome="handled"')).toBe(1);
});

test('errors of any number of names leave the series to the queues', async () => {
  const { metrics } = metricsOf();
  const made = await consumer(
    (text) => {
      throw Object.assign(new Error(text), { name: `Error${text}` });
    },
    { retry: { delaysMs: [] } },
  );
  await createProducer(broker, queue).sendMany(Array.from({ length: 80 }, (_, i) => String(i)));
  await eventually(() => made.counts.deadLettered === 80);
  const text = await metrics.text();
  const counts = text.split('\n').filter((line) => /^messaging_process_duration_seconds_count/.test(line));
  expect(counts.length).toBeLessThan(60);
  expect(counts.at(-1)).toMatch(/\{.*name="orders",error_type="other"\} 30$/);
});

test('the queue that each process has of a topic is one series, whatever the process', async () => {
  const { value } = metricsOf();
  const topic = defineTopic('prices', { changed: z.string() });
  for (let i = 0; i < 2; i++) {
    const made = createConsumer(broker, defineSubscription(topic, { each: 'process', to: ['#'] }), () => {});
    await made.start();
    onTestFinished(async () => void (await made.stop()));
  }
  await createPublisher(broker, topic).publish('changed', 'x');
  await untilAsserted(async () =>
    expect(await value('millrace_settled_messages_total', 'name="prices.process"')).toBe(2),
  );
});

test('brokers at one address are one series: their counts are added up, and one that is away shows', async () => {
  const { counts } = broker;
  const other = await connect('local:');
  onTestFinished(() => other.close());
  const counting = (from: Broker, resent: number) =>
    Object.defineProperty(aroundBroker(from as Backend, {}), 'counts', { value: { ...counts, resent } });
  const { value } = metricsOf({ brokers: [counting(broker, 2), counting(other, 3)] });
  expect(await value('millrace_resent_messages_total')).toBe(5);
  expect(await value('millrace_resent_messages_total')).toBe(5);
  expect(await value('millrace_link_connected')).toBe(1);
  await other.close();
  expect(await value('millrace_link_connected')).toBe(0);
});

test('the process reports itself where that is asked for', async () => {
  const { metrics } = metricsOf({ process: true });
  expect(await metrics.text()).toMatch(/process_resident_memory_bytes \d+/);
  expect(await metricsOf().metrics.text()).not.toContain('process_resident');
});

test('a delay of the event loop is seen by every reader', async () => {
  const { value } = metricsOf({ process: true });
  const lag = () => value('nodejs_eventloop_lag_p99_seconds');
  // Where nothing was measured, it is far below a millisecond.
  await untilAsserted(async () => expect(await lag()).toBeGreaterThan(0.001));
  expect(await lag()).toBeGreaterThan(0.001);
  expect(await lag()).toBeGreaterThan(0.001);
});

test('the handler answers a request', async () => {
  const server = createServer(metricsOf({ brokers: [broker] }).metrics.handler).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await response.text()).toContain('# TYPE millrace_link_connected gauge');
});

test('what stops counting counts no more', async () => {
  const { metrics, value } = metricsOf();
  metrics.stop();
  await createProducer(broker, queue).send('a');
  expect(await value('messaging_client_sent_messages_total')).toBeUndefined();
});
