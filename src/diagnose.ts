/** Functions of the backends that the command line needs beyond a `Broker`. */
import type { ExchangeSpec, QueueSpec } from './broker.js';
import type { StoredQueueComparison } from './local-queue/disk/compare-queues.js';
import type { FolderFacts } from './local-queue/disk/folder-facts.js';
import type { AddressFacts, ServerFacts } from './rabbitmq/connection/server-facts.js';
import type { QueueComparison } from './rabbitmq/topology/compare-queues.js';
import type { Definitions } from './rabbitmq/topology/definitions.js';

export type { FolderFacts, StoreFacts } from './local-queue/disk/folder-facts.js';
export type { AddressFacts, ServerFacts } from './rabbitmq/connection/server-facts.js';
export type { QueueComparison } from './rabbitmq/topology/compare-queues.js';

interface DiagnoseOptions {
  readonly connectTimeoutMs: number;
}

/** Parses an `amqp:` address. Rejects with `INVALID_OPTION`. */
export async function diagnoseAddress(address: string): Promise<AddressFacts> {
  return (await import('./rabbitmq/connection/server-facts.js')).addressFacts(address);
}

/**
 * The facts that the server at an `amqp:` address reports. Rejects: `UNREACHABLE`, `ACCESS_REFUSED`, `INVALID_OPTION`.
 */
export async function diagnoseServer(address: string, options: DiagnoseOptions): Promise<ServerFacts> {
  return (await import('./rabbitmq/connection/server-facts.js')).serverFacts(address, options);
}

/** Compares a definition with the queues at an `amqp:` address. Declares nothing. */
export async function diagnoseQueues(
  address: string,
  spec: QueueSpec,
  options: DiagnoseOptions,
): Promise<QueueComparison[]> {
  return (await import('./rabbitmq/topology/compare-queues.js')).compareQueues(address, spec, options);
}

/** A topology as RabbitMQ's definitions, for a server of this version. */
export async function rabbitMqDefinitions(
  queues: readonly QueueSpec[],
  exchanges: readonly ExchangeSpec[],
  vhost: string,
  version: string,
): Promise<Definitions> {
  return (await import('./rabbitmq/topology/definitions.js')).definitionsOf(
    queues,
    exchanges,
    vhost,
    version,
  );
}

/** Reports the contents of the folder of a `local:` address. Creates nothing. Rejects with `STORAGE_ERROR`. */
export async function diagnoseFolder(path: string): Promise<FolderFacts> {
  return (await import('./local-queue/disk/folder-facts.js')).folderFacts(path);
}

/** Whether a folder has any queues. Creates nothing. */
export async function folderHasStore(path: string): Promise<boolean> {
  return (await import('./local-queue/disk/compare-queues.js')).hasStore(path);
}

/** Identifies the queues of a folder: a copy of them has another identity. Undefined if there are none, or it is unknown. */
export async function storeIdentity(path: string): Promise<string | undefined> {
  return (await import('./local-queue/disk/compare-queues.js')).storeIdentity(path);
}

/** Compares a definition with the queues in a folder that has some. Declares nothing. Rejects with `STORAGE_ERROR`. */
export async function diagnoseStoredQueues(path: string, spec: QueueSpec): Promise<StoredQueueComparison[]> {
  return (await import('./local-queue/disk/compare-queues.js')).compareStoredQueues(path, spec);
}

/** Copies the queues of such a folder to a new file. Rejects: `STORAGE_ERROR`, `STORAGE_FULL`, `INVALID_OPTION`. */
export async function backUpFolder(path: string, file: string): Promise<void> {
  await (await import('./local-queue/disk/backup.js')).backUpFolder(path, file);
}
