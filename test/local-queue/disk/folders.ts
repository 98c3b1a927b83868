import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import type { QueueSpec } from '../../../src/broker.js';
import { loadSqlite } from '../../../src/local-queue/disk/store/sqlite.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { eventually } from '../../support/eventually.js';

/** A new folder, removed when the test has finished. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-disk-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function plainQueue(name: string, options?: QueueOptions<string>): QueueSpec {
  return defineQueue(name, z.string(), options).spec;
}

/** Whether this process may mount a file system of its own; otherwise the cases that need one say that they were skipped. */
export const canMount = process.platform === 'linux' && tryMount();

function tryMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A new file system in memory, with the options of mount, gone when the test has finished. */
export function mountedFolder(options: string): string {
  const folder = newFolder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', folder]);
  });
  return folder;
}

/** `close` resolves in time even where the disk is slow: the files of an open store are gone when it is closed. */
export async function untilClosed(folder: string): Promise<void> {
  await eventually(() => !existsSync(join(folder, 'queue.db-wal')), { timeoutMs: 60_000 });
}

const READS = /^\s*(SELECT|EXPLAIN|PRAGMA [^=]*$)/i;

/** Runs statements in the database of a folder that nobody has open, and returns the rows of the last one. */
export function inDatabase(folder: string, ...statements: string[]): unknown[] {
  const database = new (loadSqlite().DatabaseSync)(join(folder, 'queue.db'));
  try {
    // The package keeps a database open until the last statement of it is collected: what writes is closed at once.
    const run = (sql: string) => (READS.test(sql) ? database.prepare(sql).all() : database.exec(sql));
    return statements.map(run).at(-1) ?? [];
  } finally {
    database.close();
  }
}
