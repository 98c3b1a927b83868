/** Compresses bodies, and decompresses them within a limit. */
import zlib from 'node:zlib';
import { invalidOption } from '../options.js';
import { type Compression, compressionsIn } from './content-encoding.js';

/** Smaller bodies are not compressed, since the gain would be negligible. Bytes. */
const WORTHWHILE_BYTES = 256;

/** Bodies up to these sizes (compressed, decompressed) are decompressed synchronously; others in Node's thread pool. */
const SYNC_BYTES = 16 * 1024;
const SYNC_OUTPUT_BYTES = 4 * 1024 * 1024;

/** Brotli's default is its best quality, which takes a second per MiB. */
const BROTLI = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } };

interface Limits {
  readonly maxOutputLength: number;
}

type Callback = (error: Error | null, result: Buffer) => void;

/** In Node.js from 22.15 on; the types of older versions lack it. */
interface Zstd {
  zstdCompressSync?(body: Uint8Array | string): Buffer;
  zstdDecompressSync?(body: Uint8Array, limits: Limits): Buffer;
  zstdDecompress?(body: Uint8Array, limits: Limits, callback: Callback): void;
}

const { zstdCompressSync, zstdDecompressSync, zstdDecompress }: Zstd = zlib as Zstd;

interface Algorithm {
  readonly compress: (body: Uint8Array | string) => Buffer;
  readonly decompressSync: (body: Uint8Array, limits: Limits) => Buffer;
  readonly decompress: (body: Uint8Array, limits: Limits, callback: Callback) => void;
}

const algorithms: Readonly<Record<Compression, Algorithm | undefined>> = {
  gzip: {
    compress: (body) => zlib.gzipSync(body),
    decompressSync: zlib.gunzipSync,
    decompress: zlib.gunzip,
  },
  deflate: {
    compress: (body) => zlib.deflateSync(body),
    decompressSync: (body, limits) =>
      (hasZlibHead(body) ? zlib.inflateSync : zlib.inflateRawSync)(body, limits),
    decompress: (body, limits, callback) =>
      (hasZlibHead(body) ? zlib.inflate : zlib.inflateRaw)(body, limits, callback),
  },
  br: {
    compress: (body) => zlib.brotliCompressSync(body, BROTLI),
    decompressSync: zlib.brotliDecompressSync,
    decompress: zlib.brotliDecompress,
  },
  zstd:
    zstdCompressSync === undefined || zstdDecompressSync === undefined || zstdDecompress === undefined
      ? undefined
      : { compress: zstdCompressSync, decompressSync: zstdDecompressSync, decompress: zstdDecompress },
};

/** By `deflate` RFC 9110 means the format of RFC 1950; some senders omit its header. */
function hasZlibHead(body: Uint8Array): boolean {
  const [first = 0, second = 0] = body;
  return (first & 0x0f) === 8 && ((first << 8) + second) % 31 === 0;
}

/** Throws `INVALID_OPTION`. */
export function compressionOption(value: unknown): Compression | undefined {
  if (value === undefined) return undefined;
  const known = Object.keys(algorithms) as Compression[];
  const compression = known.find((name) => name === value);
  if (compression === undefined)
    throw invalidOption('compress', known.map((name) => `'${name}'`).join(' or '), value);
  if (algorithms[compression] === undefined)
    throw invalidOption(
      'compress',
      `an algorithm of Node.js ${process.version}; zstd needs 22.15 or later`,
      value,
    );
  return compression;
}

/** The compressed body; undefined if it would not be smaller. Synchronous, so that sends keep their order. */
export function compress(body: Uint8Array | string, compression: Compression): Buffer | undefined {
  if (body.length < WORTHWHILE_BYTES) return undefined;
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const compressed = algorithms[compression]?.compress(bytes);
  return compressed !== undefined && compressed.byteLength < bytes.byteLength ? compressed : undefined;
}

/** The result of decompressing a body. */
export type Decompressed =
  | { readonly type: 'body'; readonly body: Uint8Array | string }
  /** Decompressed, it exceeds the limit. */
  | { readonly type: 'too-large' }
  | { readonly type: 'damaged'; readonly error: string };

/**
 * The decompressed body; the body itself if its encoding names no known compression. A promise only for large bodies.
 * Never rejects.
 */
export function decompress(
  body: Uint8Array | string,
  contentEncoding: string,
  maxBytes: number,
): Decompressed | Promise<Decompressed> {
  const compressions = compressionsIn(contentEncoding);
  if (compressions === undefined || compressions.length === 0) return { type: 'body', body };
  const steps = compressions.map((name) => algorithms[name]).reverse();
  if (!steps.every((step) => step !== undefined)) {
    const error = `Node.js ${process.version} has no ${compressions.join(', ')}`;
    return { type: 'damaged', error };
  }
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const limits = { maxOutputLength: Math.min(Math.max(1, maxBytes), MAX_OUTPUT_BYTES) };
  if (bytes.byteLength > SYNC_BYTES || maxBytes > SYNC_OUTPUT_BYTES)
    return decompressAll(bytes, steps, limits);
  try {
    let result = bytes;
    for (const step of steps) result = step.decompressSync(result, limits);
    return { type: 'body', body: result };
  } catch (error) {
    return failed(error);
  }
}

/** Node's own limit for a buffer is lower on 32-bit systems. */
const MAX_OUTPUT_BYTES = 2 ** 31 - 1;

async function decompressAll(
  bytes: Uint8Array,
  steps: readonly Algorithm[],
  limits: Limits,
): Promise<Decompressed> {
  try {
    let result = bytes;
    for (const step of steps) {
      const input = result;
      result = await new Promise<Buffer>((resolve, reject) => {
        step.decompress(input, limits, (error, output) => (error === null ? resolve(output) : reject(error)));
      });
    }
    return { type: 'body', body: result };
  } catch (error) {
    return failed(error);
  }
}

function failed(error: unknown): Decompressed {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ERR_BUFFER_TOO_LARGE' ? { type: 'too-large' } : { type: 'damaged', error: message };
}
