import { LinkedList } from '../../common/linked-list.js';
import type { PendingPublish } from './pending-publish.js';

/** Messages that wait to be sent, in the order of their positions. */
export class SendQueue extends LinkedList<PendingPublish> {
  /** Goes to its place by position: at the end for new ones, before those for one that was sent in vain. */
  add(outgoing: PendingPublish): void {
    let after = this.last;
    while (after !== undefined && after.position > outgoing.position) after = after.previous;
    this.insert(outgoing, after);
  }

  /** Puts many, sorted by position, to their places in one walk. */
  addAll(sorted: Iterable<PendingPublish>): void {
    let after: PendingPublish | undefined;
    for (const outgoing of sorted) {
      let next = after === undefined ? this.first : after.next;
      while (next !== undefined && next.position < outgoing.position) {
        after = next;
        next = next.next;
      }
      this.insert(outgoing, after);
      after = outgoing;
    }
  }
}
