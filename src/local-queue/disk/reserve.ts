import { type Tables, transact, u32 } from './tables.js';

/** Eight times what a transaction that only removes messages writes: 1 MiB in pieces, for which room is found more easily. */
const PIECES = 16;
const PIECE_BYTES = 64 * 1024;

const keys = Array.from({ length: PIECES }, (_, index) =>
  Buffer.concat([Buffer.from('reserve-'), u32(index)]),
);

/**
 * LMDB never writes over a page that is in use, so that even removing a message takes new pages first. Some are kept
 * aside, as records without a meaning, for the time when the disk is full: then they are given up, and whatever makes
 * room can go on. Nothing is let in until they are there again.
 */
export function restoreReserve({ root }: Tables): void {
  if (root.doesExist(keys[PIECES - 1] as Buffer)) return;
  for (const key of keys) root.putSync(key, Buffer.alloc(PIECE_BYTES));
}

/** In a transaction of its own, the smallest there is. */
export function giveUpReserve(tables: Tables): void {
  transact(tables, () => {
    for (const key of keys) tables.root.removeSync(key);
  });
}
