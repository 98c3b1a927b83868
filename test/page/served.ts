/** `millrace ui` in a process of its own, and requests to it that no browser would send. */
import { type OutgoingHttpHeaders, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { Millrace } from '../cli/support/spawn-millrace.js';

export interface Served {
  readonly process: Millrace;
  /** With the token. */
  readonly address: string;
  /** Without it, and without a slash at the end. */
  readonly origin: string;
  readonly cookie: string;
}

/** Serves the page of a broker at a port that is free. */
export async function serve(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const process = new Millrace(['ui', '--port', '0', ...args], { env });
  await process.said(/token=[\w-]+\n/);
  const address = process.stdout.trim();
  const { headers } = await ask(address);
  const cookie = String(headers['set-cookie']).split(';', 1)[0] ?? '';
  return { process, address, origin: new URL(address).origin, cookie };
}

export interface Asked {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

export function ask(
  url: string,
  options: {
    readonly method?: string;
    /** Sent as it is. Default: that of the URL. */
    readonly path?: string;
    readonly headers?: OutgoingHttpHeaders;
    readonly body?: string;
  } = {},
): Promise<Asked> {
  const { method = 'GET', headers = {}, body, path } = options;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method, headers, agent: false, ...(path === undefined ? {} : { path }) },
      (response) => {
        text(response).then(
          (received) => resolve({ status: response.statusCode, headers: response.headers, body: received }),
          reject,
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
