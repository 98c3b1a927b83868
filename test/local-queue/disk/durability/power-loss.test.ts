/**
 * A power failure keeps what was flushed, and of what was written since then whatever it likes. So a process runs with
 * all of its writes and flushes recorded; the record is replayed up to many moments, each time in two ways: with
 * nothing that was not flushed, and with some of it.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { inDatabase, newFolder, plainQueue } from '../folders.js';

const ROUNDS = 40;
const MOMENTS = 100;
/** What a disk writes at once. */
const SECTOR = 512;

const canRecord = process.platform === 'linux' && spawnSync('gcc', ['--version']).status === 0;

interface Recorded {
  readonly kind: 'w' | 't' | 's' | 'd';
  readonly file: string;
  /** Undefined: at the end, as the ledger is written. */
  readonly offset: number | undefined;
  readonly bytes: Buffer;
}

function readRecord(log: string): Recorded[] {
  const all = readFileSync(log);
  const records: Recorded[] = [];
  for (let at = 0; at < all.length; ) {
    const offset = all.readBigUInt64LE(at + 1);
    const length = all.readUInt32LE(at + 9);
    const pathEnd = at + 15 + all.readUInt16LE(at + 13);
    records.push({
      kind: String.fromCharCode(all[at] ?? 0) as Recorded['kind'],
      file: basename(all.toString('utf8', at + 15, pathEnd)),
      offset: offset === 2n ** 64n - 1n ? undefined : Number(offset),
      bytes: all.subarray(pathEnd, pathEnd + length),
    });
    at = pathEnd + length;
  }
  return records;
}

/** A file as the disk has it, and what it was told since it was last flushed. */
class DiskFile {
  flushed = Buffer.alloc(0);
  since: Recorded[] = [];

  /** After a power failure that keeps what `keeps` says. */
  after(keeps: () => boolean): Buffer<ArrayBuffer> {
    const ends = this.since.map(({ kind, offset = 0, bytes }) => (kind === 'w' ? offset + bytes.length : 0));
    const content = Buffer.alloc(Math.max(this.flushed.length, ...ends));
    this.flushed.copy(content);
    let size = this.flushed.length;
    for (const { kind, offset = 0, bytes } of this.since) {
      if (kind === 't') {
        if (!keeps()) continue;
        content.fill(0, Math.min(size, offset), Math.max(size, offset));
        size = offset;
        continue;
      }
      for (let at = 0; at < bytes.length; at += SECTOR) {
        if (keeps()) bytes.copy(content, offset + at, at, Math.min(at + SECTOR, bytes.length));
      }
      size = Math.max(size, offset + bytes.length);
    }
    return content.subarray(0, size);
  }
}

async function recordRun(durability: 'flush' | 'commit'): Promise<Recorded[]> {
  const folder = newFolder();
  const library = join(newFolder(), 'record-writes.so');
  const source = fileURLToPath(new URL('./power-loss/record-writes.c', import.meta.url));
  execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl', '-lpthread']);
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('ledger', { deadLetter: false }));
  await broker.close();
  const log = join(newFolder(), 'log');
  // What is there when it begins.
  const store = readFileSync(join(folder, 'queue.db'));
  const script = fileURLToPath(new URL('../processes/recorded.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, folder, durability, String(ROUNDS)], {
    env: { ...process.env, LD_PRELOAD: library, RECORD_FOLDER: `${folder}/`, RECORD_LOG: log },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
  const begin: Recorded[] = [
    { kind: 'w', file: 'queue.db', offset: 0, bytes: store },
    { kind: 's', file: 'queue.db', offset: 0, bytes: Buffer.alloc(0) },
  ];
  return [...begin, ...readRecord(log)];
}

interface Image {
  /** What the ledger says by this moment. */
  readonly sent: readonly string[];
  readonly taken: readonly string[];
  readonly messages: ReadonlyMap<string, { readonly known: boolean; readonly whole: boolean }>;
}

/** What is in the folder after a power failure at each of some moments. */
function* powerFailures(records: readonly Recorded[], base: string): Generator<Image> {
  const files = new Map<string, DiskFile>();
  const file = (name: string) => files.get(name) ?? (files.set(name, new DiskFile()).get(name) as DiskFile);
  let ledger = '';
  const every = Math.max(1, Math.floor(records.length / MOMENTS));
  for (const [index, record] of records.entries()) {
    if (record.file === 'ledger') ledger += record.bytes.toString();
    else if (record.kind === 'd') files.delete(record.file);
    else if (record.kind !== 's') file(record.file).since.push(record);
    else {
      const disk = file(record.file);
      disk.flushed = disk.after(() => true);
      disk.since = [];
    }
    const isMoment = index > 1 && (index % every === 0 || index === records.length - 1);
    if (!isMoment) continue;
    for (const keeps of [() => false, () => Math.random() < 0.5]) {
      const folder = mkdtempSync(join(base, 'image-'));
      for (const name of ['queue.db', 'queue.db-wal']) {
        const content = files.get(name)?.after(keeps);
        if (content !== undefined) writeFileSync(join(folder, name), content);
      }
      yield { ...readLedger(ledger), messages: messagesIn(folder) };
      rmSync(folder, { recursive: true });
    }
  }
}

function readLedger(ledger: string): Pick<Image, 'sent' | 'taken'> {
  const lines = ledger.split('\n').slice(0, -1);
  const of = (kind: string) => lines.filter((line) => line.startsWith(kind)).map((line) => line.slice(2));
  return { sent: of('S'), taken: of('T') };
}

function messagesIn(folder: string): Image['messages'] {
  const rows = inDatabase(
    folder,
    'PRAGMA integrity_check',
    'SELECT message_id AS id, owner IS NOT NULL OR redelivered AS known, body FROM messages',
  ) as { id: string; known: number; body: string }[];
  return new Map(
    rows.map(({ id, known, body }) => [id, { known: known === 1, whole: body === `${id} `.repeat(100) }]),
  );
}

/** What a power failure has undone of what had been confirmed. */
function* breaches({ sent, taken, messages }: Image): Generator<string> {
  const handled = new Set(taken);
  for (const id of sent) if (!messages.has(id) && !handled.has(id)) yield `${id} was sent, and is lost`;
  for (const [id, { known, whole }] of messages) {
    if (!whole) yield `${id} is damaged`;
    if (handled.has(id) && !known) yield `${id} was handed out, and will be redelivered without its mark`;
  }
}

test.skipIf(!canRecord).each(['flush', 'commit'] as const)(
  "a power failure at any moment leaves a store that is whole, and undoes no flushed send and no delivery ('%s')",
  async (durability) => {
    const records = await recordRun(durability);
    // In memory where there is such a folder: it is written a lot, and nothing of it has to last.
    const base = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'millrace-images-'));
    onTestFinished(() => rmSync(base, { recursive: true, force: true }));
    const found: string[] = [];
    let images = 0;
    let largest = 0;
    for (const image of powerFailures(records, base)) {
      images++;
      largest = Math.max(largest, image.messages.size);
      found.push(...breaches(image));
    }
    expect(images).toBeGreaterThan(MOMENTS);
    if (durability === 'flush') {
      expect(found).toEqual([]);
      expect(largest).toBeGreaterThan(ROUNDS);
    } else {
      // The means can fail: without a flush at each commit it shows what is lost.
      expect(found.length).toBeGreaterThan(0);
      expect(found.filter((breach) => !breach.endsWith('was sent, and is lost'))).toEqual([]);
    }
  },
);
