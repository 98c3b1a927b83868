import { Random } from './random.js';

/** What a handler does with a message. */
export type MessageKind =
  | 'plain'
  | 'slow'
  /** Its first attempt fails. */
  | 'flaky'
  /** Each attempt fails, until the programs are mended. */
  | 'failing'
  /** It is rejected, until the programs are mended. */
  | 'rejected';

export interface SendOperation {
  readonly do: 'send';
  readonly actor: number;
  readonly how: 'send' | 'sendMany' | 'trySend' | 'request';
  /** The ids are the numbers from here on. */
  readonly first: number;
  readonly count: number;
  readonly kind: MessageKind;
  readonly timeoutMs?: number;
  readonly abortAfterMs?: number;
}

/** Each fault that lasts is over after `ms`; what comes after it in the sequence happens meanwhile. */
export type Fault =
  | { readonly do: 'cut' }
  | { readonly do: 'cutAfter'; readonly bytes: number; readonly direction: 'to-broker' | 'to-client' }
  | { readonly do: 'halfOpen'; readonly direction: 'to-broker' | 'to-client'; readonly ms: number }
  | { readonly do: 'freeze' | 'refuse' | 'slow' | 'lag'; readonly ms: number }
  | { readonly do: 'closeConnections' }
  | { readonly do: 'alarm' | 'revoke' | 'policy' | 'pause'; readonly ms: number }
  | { readonly do: 'deleteQueue' }
  | { readonly do: 'restart' | 'crash' };

export type Operation =
  | SendOperation
  | { readonly do: 'start'; readonly actor: number; readonly concurrency: number; readonly keyed: boolean }
  | { readonly do: 'stop'; readonly actor: number; readonly deadlineMs: number }
  | { readonly do: 'close'; readonly actor: number }
  /** SIGKILL, where the actor is a process of its own. */
  | { readonly do: 'kill'; readonly actor: number }
  /** From now on nothing fails any more, and what has become a dead letter is sent back. */
  | { readonly do: 'replay'; readonly actor: number }
  | { readonly do: 'wait'; readonly ms: number }
  /** Until all sends have settled. */
  | { readonly do: 'confirmed' }
  | Fault;

export type Verb = Operation['do'];

/** How often each operation comes, in relation to the others. */
export type Weights = Readonly<Partial<Record<Verb, number>>>;

export const CLIENT_WEIGHTS: Weights = {
  send: 10,
  start: 3,
  stop: 2.5,
  close: 1,
  replay: 1,
  wait: 3,
  confirmed: 1,
};

export const LINK_WEIGHTS: Weights = {
  cut: 1.5,
  cutAfter: 1,
  halfOpen: 0.6,
  freeze: 0.6,
  refuse: 0.6,
  slow: 0.4,
  lag: 1.5,
};

export const OPERATOR_WEIGHTS: Weights = {
  closeConnections: 0.5,
  revoke: 0.5,
  policy: 0.4,
  deleteQueue: 0.4,
};

/** Of a broker that is the test's own. */
export const SERVER_WEIGHTS: Weights = { alarm: 0.4, restart: 0.25, crash: 0.35, pause: 0.3 };

const ACTORS = 2;
const LONGEST_FAULT_MS = 1500;

/** The operations that belong to a seed. The same seed gives the same ones, as long as this file stays as it is. */
export function drawOperations(seed: number, weights: Weights): readonly Operation[] {
  const random = new Random(seed);
  const operations: Operation[] = [start(random)];
  const length = random.integer(8, 24);
  let first = 0;
  while (operations.length < length) {
    const verb = random.weighted<Verb>(weights);
    const operation = verb === 'send' ? send(random, first) : draw(random, verb);
    if (operation.do === 'send') first += operation.count;
    operations.push(operation);
  }
  return operations;
}

function send(random: Random, first: number): SendOperation {
  const how = random.weighted<SendOperation['how']>({ send: 4, sendMany: 3, trySend: 1, request: 1 });
  const limits = random.weighted({ none: 6, timeoutMs: 2, abortAfterMs: 2 });
  const ms = random.integer(1, random.chance(0.5) ? 30 : 600);
  return {
    do: 'send',
    actor: actor(random),
    how,
    first,
    count: random.integer(1, how === 'request' ? 10 : random.chance(0.2) ? 300 : 40),
    kind: random.weighted<MessageKind>({ plain: 6, slow: 2, flaky: 2, failing: 1, rejected: 1 }),
    ...(limits === 'none' ? {} : { [limits]: ms }),
  };
}

function start(random: Random): Operation {
  const concurrency = random.pick([1, 2, 5, 20]);
  return { do: 'start', actor: actor(random), concurrency, keyed: random.chance(0.5) };
}

function draw(random: Random, verb: Exclude<Verb, 'send'>): Operation {
  const ms = random.integer(50, LONGEST_FAULT_MS);
  const direction = random.pick<'to-broker' | 'to-client'>(['to-broker', 'to-client']);
  switch (verb) {
    case 'start':
      return start(random);
    case 'stop':
      return { do: verb, actor: actor(random), deadlineMs: random.pick([0, 20, 5000]) };
    case 'close':
    case 'kill':
    case 'replay':
      return { do: verb, actor: actor(random) };
    case 'wait':
      return { do: verb, ms: random.integer(1, random.chance(0.7) ? 100 : 800) };
    case 'cutAfter':
      return { do: verb, direction, bytes: random.integer(0, random.chance(0.3) ? 600 : 20_000) };
    case 'halfOpen':
      return { do: verb, direction, ms };
    case 'lag':
    case 'slow':
    case 'freeze':
    case 'refuse':
    case 'alarm':
    case 'revoke':
    case 'policy':
    case 'pause':
      return { do: verb, ms };
    default:
      return { do: verb };
  }
}

function actor(random: Random): number {
  return random.integer(0, ACTORS - 1);
}
