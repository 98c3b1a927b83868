import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';

const PEERS = [
  'fastq',
  'p-queue',
  'async',
  '@henrygd/queue',
  'amqplib',
  'rabbitmq-client',
  '@cloudamqp/amqp-client',
  'amqp-connection-manager',
  'rascal',
];

const DISK_PEERS = ['bullmq', 'nats', 'pg-boss', 'plainjob', 'better-sqlite3'];

/** The machine and the versions that a run was made with. */
export function environment() {
  return {
    takenAt: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryGb: Math.round(totalmem() / 2 ** 30),
      system: `${systemName()} ${arch()}`,
    },
    node: process.version,
    versions: {
      millrace: versionIn('../package.json'),
      ...Object.fromEntries(PEERS.map((name) => [name, versionIn(`node_modules/${name}/package.json`)])),
      ...Object.fromEntries(
        DISK_PEERS.map((name) => [name, versionIn(`disk/node_modules/${name}/package.json`)]),
      ),
    },
  };
}

/** `Linux 6.18`: further parts of a release name the machine's own build. */
function systemName() {
  const [major, minor] = release().split('.');
  return `${type()} ${major}.${minor}`;
}

function versionIn(path) {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version;
}
