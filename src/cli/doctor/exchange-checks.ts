/** Checks exchanges, and how queues are bound to them. */
import type { Backend, ExchangeSpec, ListedBinding, QueueSpec } from '../../broker.js';
import { isQueueError } from '../../errors.js';
import { EXIT } from '../exit-code.js';
import { type Check, fail, failure, ok, warn } from './check.js';
import { createdLater } from './queue-checks.js';

/** Declares nothing: an exchange is compared only if it exists. `missing`: the text for one that would be created. */
export async function exchangeCheck(
  broker: Backend,
  spec: ExchangeSpec,
  missing = createdLater,
): Promise<Check> {
  const { name } = spec;
  const facts = { exchange: name };
  try {
    await broker.declareExchange({ ...spec, declare: 'existing' });
    if (spec.declare === 'match') await broker.declareExchange(spec);
    const as = spec.declare === 'match' ? 'matches its definition' : 'exists and is used as it is';
    return ok('exchange', `'${name}' ${as}`, facts);
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISMATCH'))
      return fail('exchange', error.message, EXIT.failed, changeAdvice(name), facts);
    if (!isQueueError(error, 'QUEUE_MISSING')) return failure('exchange', error);
    if (spec.declare !== 'existing') return missing('exchange', name);
    return fail('exchange', `'${name}' does not exist`, EXIT.empty, 'another program must create it', facts);
  }
}

/** An exchange that exists can't be changed on any broker. */
export function changeAdvice(exchange: string): string {
  return `to change it, 'millrace remove -e ${exchange}', then 'millrace topology apply'`;
}

/** Compares the bindings of the queues that exist with their definitions. */
export async function* bindingChecks(broker: Backend, queues: readonly QueueSpec[]): AsyncGenerator<Check> {
  for (const spec of queues) {
    try {
      const listed = await broker.listBindings(spec.name);
      if (listed !== undefined) {
        yield bindingCheck(spec, listed);
        continue;
      }
      if (!queues.some(({ bindings = [], unbind = [] }) => bindings.length + unbind.length > 0)) return;
      yield warn(
        'bindings',
        "not compared, since AMQP can't list them",
        'add --management-url, such as http://localhost:15672',
      );
      return;
    } catch (error) {
      // Reported as a missing queue.
      if (isQueueError(error, 'QUEUE_MISSING')) continue;
      yield failure('bindings', error);
      if (!isQueueError(error, 'BROKER_ERROR')) return;
    }
  }
}

function bindingCheck({ name, bindings = [] }: QueueSpec, listed: readonly ListedBinding[]): Check {
  const wanted = new Set(bindings.map((each) => label({ ...each, exchange: each.exchange.name })));
  const found = new Set(listed.map(label));
  const missing = [...wanted].filter((each) => !found.has(each));
  const leftOver = [...found].filter((each) => !wanted.has(each));
  const facts = { queue: name, missing, leftOver };
  if (missing.length > 0) {
    const text = `'${name}' lacks ${firstOf(missing)}`;
    return fail('bindings', text, EXIT.failed, 'millrace topology apply adds them', facts);
  }
  if (leftOver.length > 0) {
    const text = `'${name}' has ${firstOf(leftOver)}, which its definition does not name`;
    return warn('bindings', text, "name it in 'unbind', and run millrace topology apply", facts);
  }
  return ok('bindings', `'${name}' has ${wanted.size === 0 ? 'none' : firstOf([...wanted])}`, facts);
}

/** How many bindings a line shows. */
const SHOWN = 10;

/** The first bindings, and how many more there are. */
export function firstOf(bindings: readonly string[]): string {
  const more = bindings.length - SHOWN;
  return `${bindings.slice(0, SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function label({ exchange, routingKey, arguments: given }: ListedBinding): string {
  const compared = Object.keys(given).length === 0 ? '' : ` ${JSON.stringify(sorted(given))}`;
  return `'${exchange}' ${JSON.stringify(routingKey)}${compared}`;
}

/** The broker may list the arguments in another order. */
function sorted(given: ListedBinding['arguments']): object {
  return Object.fromEntries(Object.entries(given).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** The effect of a capacity on publishers. */
export function* boundedChecks(spec: QueueSpec, isLocal: boolean): Generator<Check> {
  const { name, capacity = Number.POSITIVE_INFINITY, bindings = [] } = spec;
  if (bindings.length === 0 || !Number.isFinite(capacity)) return;
  const exchanges = [...new Set(bindings.map(({ exchange }) => `'${exchange.name}'`))].join(', ');
  const does = isLocal
    ? `when it is full, publishers to ${exchanges} wait, and the other queues get nothing meanwhile`
    : spec.type === 'quorum'
      ? `when it is full, it refuses messages published to ${exchanges} (UNCONFIRMED), and the other queues have their copies`
      : `senders to the queue keep it, publishers to ${exchanges} do not`;
  const advice = isLocal
    ? 'remove the capacity unless publishers should wait'
    : "to drop the oldest messages instead, use arguments: { 'x-max-length': …, 'x-overflow': 'drop-head' }";
  yield warn('capacity', `'${name}' has a capacity of ${capacity}: ${does}`, advice, {
    queue: name,
    capacity,
  });
}
