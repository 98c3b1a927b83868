// A handler module of `millrace work` whose process has every metric: what it sends and handles besides fails in every way.
import { connect, createConsumer, createProducer, defineQueue } from '../../../dist/index.js';
import { aroundBroker, withVerbs } from '../../../dist/testing/around-broker.js';

const any = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const [bad, stuck, missing] = ['bad', 'stuck', 'missing'].map((name) =>
  defineQueue(name, any, name === 'missing' ? { declare: 'existing' } : {}),
);
const observe = () => {};
const broker = await connect('local:', { observe });
const fail = (delivery) => async () => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  delivery.release();
  throw new Error('nothing can be stored');
};
const readOnly = aroundBroker(broker, {
  delivery: (delivery) => withVerbs(delivery, { deadLetter: fail(delivery) }),
});
const fails = () => Promise.reject(new TypeError('no'));
const consumers = [
  createConsumer(broker, bad, fails, { observe, retry: { delaysMs: [0] } }),
  createConsumer(readOnly, stuck, fails, { observe, retry: { delaysMs: [] } }),
];
for (const consumer of consumers) await consumer.start();
const [toBad, toStuck, toMissing] = [bad, stuck, missing].map((queue) => createProducer(broker, queue));
await toStuck.send('x');
setInterval(() => {
  void toBad.send('x');
  void toMissing.send('x').catch(() => {});
}, 200).unref();

export default () => {};
