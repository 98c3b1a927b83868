/**
 * Identifies the server at an address where the log-in failed. AMQP libraries only see bytes that are not a frame, or a
 * peer that hangs up; the first bytes of a second connection reveal the protocol.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { RabbitMqAddress } from '../address.js';

/** The cause of an `UNREACHABLE` that another attempt would not change: something other than RabbitMQ answers. */
export class WrongServer extends Error {
  override readonly name = 'WrongServer';
}

/** How long each probe waits for its response. Servers that respond at all do so at once. */
const ANSWER_LIMIT_MS = 1_000;

/** More bytes would add no information. */
const ANSWER_BYTES = 64;

const AMQP_HEADER = Buffer.from('AMQP\0\0\u0009\u0001', 'latin1');
const HTTP_REQUEST = Buffer.from('GET / HTTP/1.0\r\n\r\n');
/** PostgreSQL responds to this with one letter. It closes a connection that starts with anything unknown. */
const POSTGRES_SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

type Place = Pick<RabbitMqAddress, 'host' | 'port' | 'tls'>;

/**
 * A sentence that names the server and the remedy; undefined if it is RabbitMQ after all, if it can't be identified, or
 * if nothing responds: a broker that is starting, or Docker's proxy in front of one. Never rejects. Takes seconds at
 * most.
 */
export async function describeWrongServer(place: Place, signal: AbortSignal): Promise<string | undefined> {
  if (!place.tls) return describePlain(place, signal);
  const inside = await answerOf(place, AMQP_HEADER, signal);
  if (inside !== undefined) return nameOf(inside.bytes, place);
  const { bytes } = (await answerOf({ ...place, tls: false }, AMQP_HEADER, signal)) ?? { bytes: NOTHING };
  if (isAmqp091(bytes)) {
    return `the server speaks AMQP without TLS on port ${place.port}: use amqp:, or its TLS port, usually 5671`;
  }
  // The alert is the answer to a header without TLS.
  return isTls(bytes) ? undefined : nameOf(bytes, place);
}

async function describePlain(place: Place, signal: AbortSignal): Promise<string | undefined> {
  const answer = await answerOf(place, AMQP_HEADER, signal);
  if (answer === undefined) return undefined;
  if (answer.bytes.length > 0) return nameOf(answer.bytes, place);
  if (!answer.hasEnded) {
    // Web servers, and Redis, wait for the end of a line.
    const line = await answerOf(place, HTTP_REQUEST, signal);
    return line && nameOf(line.bytes, place);
  }
  const letter = await answerOf(place, POSTGRES_SSL_REQUEST, signal);
  if (letter !== undefined && /^[SN]$/.test(letter.bytes.toString('latin1'))) {
    return notAmqp('PostgreSQL', place);
  }
  const secured = await answerOf({ ...place, tls: true }, AMQP_HEADER, signal);
  return secured && expectsTls(place);
}

const NOTHING = Buffer.alloc(0);

interface Answer {
  /** The first bytes; empty if none came in time. */
  readonly bytes: Buffer;
  readonly hasEnded: boolean;
}

/** Undefined if there is no connection, or no TLS on it. */
function answerOf(
  { host, port, tls }: Place,
  question: Buffer,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    let isOpen = false;
    let bytes: Buffer = NOTHING;
    const finish = (hasEnded: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(isOpen ? { bytes, hasEnded } : undefined);
    };
    const onOpen = () => {
      isOpen = true;
      socket.write(question);
    };
    // No secret is sent, so the certificate does not matter.
    const socket: Socket = tls
      ? connectTls({ host, port, signal, rejectUnauthorized: false } as object, onOpen)
      : connect({ host, port, signal }, onOpen);
    const timer = setTimeout(() => finish(false), ANSWER_LIMIT_MS);
    socket.on('data', (data) => {
      bytes = Buffer.concat([bytes, data]).subarray(0, ANSWER_BYTES);
      finish(false);
    });
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
  });
}

const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/^HTTP\//, "HTTP (a web server, a proxy, or RabbitMQ's management page)"],
  [/^[-+](?:ERR|DENIED|NOAUTH|OK)/, 'Redis'],
  [/^INFO \{/, 'NATS'],
  [/^SSH-/, 'SSH'],
  [/^220[ -]/, 'SMTP or FTP'],
  [/^ERROR\n/, 'STOMP'],
  [/^.\0\0\0\n\d+\.\d+\./s, 'MySQL'],
];

function nameOf(bytes: Buffer, place: Place): string | undefined {
  if (bytes.length === 0 || isAmqp091(bytes)) return undefined;
  if (isTls(bytes)) return expectsTls(place);
  const text = bytes.toString('latin1');
  if (text.startsWith('AMQP') && bytes.length >= 8) {
    return `the server speaks AMQP ${versionIn(bytes)}, not AMQP 0-9-1, which RabbitMQ speaks`;
  }
  const known = KNOWN.find(([pattern]) => pattern.test(text))?.[1];
  return notAmqp(known, place, text);
}

/** RabbitMQ's first frame (method 10.10 on channel 0), or the header with which it answers bytes that it does not know. */
function isAmqp091(bytes: Buffer): boolean {
  const isStart = bytes[0] === 1 && bytes.subarray(1, 3).every((byte) => byte === 0);
  return isStart || bytes.subarray(0, AMQP_HEADER.length).equals(AMQP_HEADER);
}

/** The bytes after `AMQP`: a protocol id (0, 2 for TLS, 3 for SASL) and 1-0-0; earlier versions had other layouts. */
function versionIn(bytes: Buffer): string {
  return bytes.subarray(5, 8).equals(Buffer.from([1, 0, 0])) ? '1.0' : 'of another version';
}

/** An alert or a handshake message of TLS. */
function isTls(bytes: Buffer): boolean {
  return (bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 3;
}

function expectsTls({ port }: Place): string {
  return `the server expects TLS on port ${port}: use amqps:, or its port without TLS, usually 5672`;
}

function notAmqp(protocol: string | undefined, { port, tls }: Place, text = ''): string {
  const what =
    protocol === undefined
      ? `the server does not speak AMQP 0-9-1 on port ${port}: it says ${JSON.stringify(text.slice(0, 40))}`
      : `the server speaks ${protocol} on port ${port}, not AMQP 0-9-1`;
  return `${what}; RabbitMQ's port is usually ${tls ? '5671' : '5672'}`;
}
