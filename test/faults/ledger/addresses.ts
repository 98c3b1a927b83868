import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { amqpUrl } from '../../support/broker.js';
import { secretUser } from '../secret-user.js';
import type { LedgerPlan } from './ledger.js';

/** Where the clients of a ledger connect to: the broker of the test run, or one of the test's own. */
export async function addressOf(backend: LedgerPlan['backend']): Promise<string> {
  if (backend === 'quorum' || backend === 'classic') return secretUser();
  if (backend === 'local:') return backend;
  const folder = await mkdtemp(join(tmpdir(), 'millrace-faults-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return `local:${folder}`;
}

export interface BehindProxy {
  readonly proxy: TcpProxy;
  /** Through the proxy. */
  readonly address: string;
  /** Past it. */
  readonly directAddress: string;
}

/** The broker of the test run, behind a proxy of the test's own. */
export async function brokerBehindProxy(): Promise<BehindProxy> {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const directAddress = await secretUser();
  return { proxy, address: proxy.url(directAddress), directAddress };
}
