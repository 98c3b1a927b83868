/** The actions of an operator on the page. */
import type { Broker, QueueInfo } from '../../broker.js';
import { operatorOf } from '../../common/backend-of.js';
import { deadLetters } from '../../dead-letters/dead-letters.js';
import type { SelectionOptions } from '../../dead-letters/selection.js';
import { QueueError } from '../../errors.js';
import { moveMessages } from '../../operations/move.js';
import { count } from '../html/format.js';
import { deadLetterQueueOf } from '../messages/dead-reader.js';
import { groupOf } from '../messages/error-groups.js';
import type { JobContext, JobPlan } from './jobs.js';

/** The request that the page's script sends. */
export interface ActionRequest {
  readonly action: 'pause' | 'resume' | 'purge' | 'move' | 'replay' | 'drop';
  readonly queue: string;
  /** The selected dead letters, by id. */
  readonly ids: readonly string[] | undefined;
  /** The selected dead letters, by their group of errors. */
  readonly group: string | undefined;
  /** How many messages the dialog named. */
  readonly expected: number;
  /** The target queue of a move or a replay. */
  readonly to: string | undefined;
  /** The speed of a replay, in messages per second; undefined: no limit. */
  readonly rate: number | undefined;
}

const ACTIONS = ['pause', 'resume', 'purge', 'move', 'replay', 'drop'];
const MAX_IDS = 1000;
const MAX_NAME_BYTES = 255;
const ANSWER_LIMIT_MS = 10_000;

/** The request in a body of JSON. Throws `INVALID_OPTION`. */
export function parseAction(body: unknown): ActionRequest {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { action, queue, ids, group, expected = 0, to, rate } = fields;
  const refuse = (what: string) => new QueueError('INVALID_OPTION', `the request has no valid ${what}`);
  if (typeof action !== 'string' || !ACTIONS.includes(action)) throw refuse('action');
  if (!isName(queue)) throw refuse('queue');
  if (typeof expected !== 'number' || !Number.isSafeInteger(expected) || expected < 0)
    throw refuse('expected');
  if (ids !== undefined && !isTexts(ids)) throw refuse('ids');
  if (group !== undefined && typeof group !== 'string') throw refuse('group');
  if (to !== undefined && to !== '' && !isName(to)) throw refuse('target queue');
  if (rate !== undefined && !(typeof rate === 'number' && Number.isFinite(rate) && rate > 0))
    throw refuse('rate: a number above 0');
  return {
    action: action as ActionRequest['action'],
    queue,
    ids,
    group,
    expected,
    to: to || undefined,
    rate,
  };
}

/** The log keeps it, so it may not be longer than a queue's name. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_NAME_BYTES;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= MAX_IDS && value.every((one) => typeof one === 'string');
}

/** Performs an action that takes one request; resolves to a sentence. Undefined: it needs a job, see {@link planOf}. */
export async function actAtOnce(
  broker: Broker,
  { action, queue }: ActionRequest,
): Promise<string | undefined> {
  const wait = { timeoutMs: ANSWER_LIMIT_MS };
  if (action === 'purge') {
    const removed = await broker.purge(queue, wait);
    return `removed ${count(removed, 'ready message')}`;
  }
  if (action !== 'pause' && action !== 'resume') return undefined;
  await operatorOf(broker)[action](queue, wait);
  return action === 'pause' ? 'paused for all consumers' : 'delivered again';
}

/** The plan of the job for a request. Throws `INVALID_OPTION`. */
export function planOf(broker: Broker, request: ActionRequest, info: QueueInfo): JobPlan {
  const { action, queue, expected } = request;
  if (action === 'move') {
    const { to } = request;
    if (to === undefined) throw new QueueError('INVALID_OPTION', 'name the queue to move the messages to');
    if (expected === 0) throw new QueueError('INVALID_OPTION', 'no message was ready when this was shown');
    const run = (context: JobContext) => move(broker, request, to, context);
    return { action: `move to '${to}'`, queue, turn: `ready ${queue}`, expected, run };
  }
  const dead = deadLetterQueueOf(info);
  if (dead === undefined)
    throw new QueueError('INVALID_OPTION', `'${queue}' drops its dead letters: there are none`);
  if (expected === 0) throw new QueueError('INVALID_OPTION', 'no dead letters were chosen');
  const turn = `dead ${dead}`;
  if (action === 'drop') {
    return { action, queue, turn, expected, run: (progress) => drop(broker, request, dead, progress) };
  }
  const run = (context: JobContext) => replay(broker, request, dead, context);
  const target = request.to === undefined || request.to === queue ? '' : ` to '${request.to}'`;
  return { action: `replay${target}`, queue, turn, expected, run };
}

async function move(
  broker: Broker,
  { queue, expected }: ActionRequest,
  to: string,
  { signal, outcome }: JobContext,
): Promise<string> {
  // At most as many as the dialog named: more may have arrived since.
  const onMoved = (id: string) => outcome({ id, outcome: 'moved', detail: `to '${to}'` });
  const onLeft = (id: string, error: Error) => outcome({ id, outcome: 'stays', detail: error.message });
  const { moved, left } = await moveMessages(broker, queue, to, { limit: expected, signal, onMoved, onLeft });
  const stays = left === 0 ? '' : `; ${left} can't be sent, and ${left === 1 ? 'stays' : 'stay'}`;
  return `moved ${count(moved, 'message')} to '${to}'${stays}${missing(expected - moved - left)}`;
}

async function replay(
  broker: Broker,
  request: ActionRequest,
  dead: string,
  { signal, outcome }: JobContext,
): Promise<string> {
  const seen = new Set<string>();
  const { replayed, invalid, failed } = await deadLetters(broker, request.queue, { queue: dead }).replay({
    ...selectionOf(request, signal),
    ...(request.to === undefined ? {} : { to: request.to }),
    ...(request.rate === undefined ? {} : { rate: request.rate }),
    observe: (event) => {
      const { id } = event.deadLetter;
      seen.add(id);
      if (event.type === 'replayed') outcome({ id, outcome: 'replayed', detail: `to '${event.to}'` });
      else outcome({ id, outcome: 'stays', detail: event.error.message });
    },
  });
  const stays = invalid + failed;
  const gone = reportGone(request, seen, replayed + stays, outcome);
  const rest =
    stays === 0
      ? ''
      : `; ${count(stays, 'message')} could not be stored there and stay${stays === 1 ? 's' : ''}`;
  return `replayed ${count(replayed, 'message')} to '${request.to ?? request.queue}'${rest}${missing(gone)}`;
}

async function drop(
  broker: Broker,
  request: ActionRequest,
  dead: string,
  { signal, outcome }: JobContext,
): Promise<string> {
  const seen = new Set<string>();
  const { dropped } = await deadLetters(broker, request.queue, { queue: dead }).drop({
    ...selectionOf(request, signal),
    observe: ({ id }) => {
      seen.add(id);
      outcome({ id, outcome: 'dropped', detail: '' });
    },
  });
  const gone = reportGone(request, seen, dropped, outcome);
  return `dropped ${count(dropped, 'message')} for good${missing(gone)}`;
}

/** The selected dead letters, at most as many as the dialog named: more may have arrived since. */
function selectionOf({ ids, group, expected }: ActionRequest, signal: AbortSignal): SelectionOptions {
  return {
    signal,
    limit: expected,
    ...(ids === undefined ? {} : { ids }),
    ...(group === undefined ? {} : { where: (deadLetter) => groupOf(deadLetter) === group }),
  };
}

/** How many messages were gone. */
function reportGone(
  { ids, expected }: ActionRequest,
  seen: ReadonlySet<string>,
  handled: number,
  outcome: JobContext['outcome'],
): number {
  const detail = 'no longer a dead letter: it was replayed or dropped elsewhere';
  for (const id of ids ?? []) if (!seen.has(id)) outcome({ id, outcome: 'gone', detail });
  return Math.max(0, expected - handled);
}

function missing(gone: number): string {
  return gone <= 0 ? '' : `; ${count(gone, 'message')} ${gone === 1 ? 'was' : 'were'} no longer there`;
}
