import type { QueueError } from '../../../errors.js';
import { emptyReply, type ReleaseRequest, type Reply, type Request } from '../protocol.js';
import type { WaitingMessage } from './transaction.js';

/** What came of a transaction. */
export interface Outcome {
  readonly reply: Reply;
  /** Other processes have something to do now. */
  readonly wakesOthers: boolean;
  /** There is more to do right away. */
  readonly unfinished: boolean;
  /** Settlements that could not be stored and have to be tried again. */
  readonly failed: readonly Request[];
}

/**
 * The outcome of a transaction that failed and so changed nothing. Publishes are refused, those that had waited for room
 * included; settlements must not get lost, and are repeated.
 */
export function refuse(
  requests: readonly Request[],
  admitted: readonly WaitingMessage[],
  { code, message }: QueueError,
): Outcome {
  const reply = emptyReply();
  const failed: Request[] = [];
  const refuseOne = (id: number): void => {
    reply.refused.push({ id, code, message });
  };
  const putBack = (ticket: number): void => {
    const release: ReleaseRequest = { kind: 'release', tickets: [ticket], undelivered: false };
    failed.push(release);
  };
  for (const { id, what } of admitted) {
    refuseOne(id);
    if ('deadLetter' in what) putBack(what.deadLetter.ticket);
  }
  for (const request of requests) {
    switch (request.kind) {
      case 'publish':
        for (const id of request.ids) refuseOne(id);
        break;
      case 'ack':
      case 'release':
      case 'cancel':
      case 'unsubscribe':
        failed.push(request);
        break;
      case 'retry':
      case 'dead-letter':
        refuseOne(request.id);
        putBack(request.ticket);
        break;
      default:
        refuseOne(request.id);
    }
  }
  return { reply, wakesOthers: false, unfinished: false, failed };
}
