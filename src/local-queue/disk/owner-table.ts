import { bootClock, isGone, ownIdentity, type ProcessIdentity } from './process-identity.js';
import { pairKey, type Tables, u32 } from './tables.js';

/** Who holds leases: a process, for as long as it renews. */
interface Owner extends ProcessIdentity {
  /** On the clock of the boot. */
  readonly validUntil: number;
}

const LAST_ID_KEY = Buffer.from('last-owner');

/**
 * The processes that handle messages. One that is found dead, or that has not renewed in time, is struck off; from
 * then on whatever is leased to it is anybody's to put back, and it finds itself struck off when it comes again.
 */
export class OwnerTable {
  readonly #tables: Tables;
  readonly #leaseMs: number;
  readonly #self = ownIdentity();

  constructor(tables: Tables, leaseMs: number) {
    this.#tables = tables;
    this.#leaseMs = leaseMs;
  }

  register(): number {
    const { root } = this.#tables;
    const last = root.getBinary(LAST_ID_KEY);
    const id = (last?.length === 4 ? last.readUInt32BE(0) : 0) + 1;
    root.putSync(LAST_ID_KEY, u32(id));
    this.renew(id);
    return id;
  }

  isRegistered(id: number): boolean {
    return this.#tables.owners.doesExist(u32(id));
  }

  renew(id: number): void {
    const owner: Owner = { ...this.#self, validUntil: bootClock() + this.#leaseMs };
    this.#tables.owners.putSync(u32(id), Buffer.from(JSON.stringify(owner)));
  }

  strikeOff(id: number): void {
    this.#tables.owners.removeSync(u32(id));
    for (const key of [...this.#tables.subscribers.getKeys()]) {
      if (key.readUInt32BE(4) === id) this.#tables.subscribers.removeSync(key);
    }
  }

  /** Owners, other than `self`, that are dead or late. */
  dead(self: number | undefined): number[] {
    const dead: number[] = [];
    for (const { key, value } of this.#tables.owners.getRange()) {
      const id = key.readUInt32BE(0);
      if (id !== self && this.#isDead(value)) dead.push(id);
    }
    return dead;
  }

  /** How many subscribers an owner has at a queue. */
  setSubscribers(queue: number, owner: number, count: number): void {
    const key = pairKey(queue, owner);
    if (count === 0) this.#tables.subscribers.removeSync(key);
    else this.#tables.subscribers.putSync(key, u32(count));
  }

  /** How many subscribers a queue has, whoever they are. */
  subscribers(queue: number): number {
    let count = 0;
    const range = { start: pairKey(queue, 0), end: pairKey(queue + 1, 0) };
    for (const { value } of this.#tables.subscribers.getRange(range)) count += value.readUInt32BE(0);
    return count;
  }

  #isDead(value: Buffer): boolean {
    let owner: Owner;
    try {
      owner = JSON.parse(value.toString());
    } catch {
      return true;
    }
    return isGone(owner, this.#self) || !(owner.validUntil >= bootClock());
  }
}
