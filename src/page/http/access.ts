/** Access control: the checks of a request before it is processed. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Sent with each action. A foreign site can't set it without a CORS preflight. */
export const ACTION_HEADER = 'x-millrace-page';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

export interface Refusal {
  readonly status: number;
  readonly title: string;
  readonly text: string;
}

export function randomToken(): string {
  return randomBytes(24).toString('base64url');
}

export class Access {
  readonly #token: string | undefined;
  readonly #hosts: ReadonlySet<string>;
  /** Cookies are not separated by port: two pages on one machine must not use each other's. */
  readonly #cookie: string;

  constructor(token: string | undefined, hosts: readonly string[]) {
    this.#token = token;
    this.#hosts = new Set(hosts.map((host) => inHeader(host.toLowerCase())));
    this.#cookie = `millrace-page-${digest(token ?? '')
      .toString('hex')
      .slice(0, 8)}`;
  }

  /** Why the request is refused; undefined if it may be served. */
  refusal(request: IncomingMessage): Refusal | undefined {
    const { host = '' } = request.headers;
    const name = host.replace(/:\d+$/, '').toLowerCase();
    if (!LOOPBACK.test(name) && !this.#hosts.has(name)) {
      const text = `This page is not served under the host name '${name}'; to allow it, use the option 'hosts' of createPage, or --allow-host of millrace ui.`;
      return { status: 421, title: 'Unknown host', text };
    }
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const foreign = isRead ? embedded(request) : this.#foreign(request, host);
    if (foreign !== undefined) return { status: 403, title: 'Refused', text: foreign };
    if (this.#token === undefined || this.#isSignedIn(request)) return undefined;
    const text =
      'Open the address that was printed when the page was started: it ends with ?token=… and signs this browser in.';
    return { status: 401, title: 'Sign-in required', text };
  }

  /** Whether `token` signs a browser in. Takes constant time. */
  lets(token: string): boolean {
    return this.#token !== undefined && this.#matches(token);
  }

  /** The header that keeps a browser signed in until it is closed. */
  cookie(path: string): string {
    return `${this.#cookie}=${this.#token}; Path=${path === '' ? '/' : path}; HttpOnly; SameSite=Strict`;
  }

  /** Other servers on this machine can set a cookie of the same name for a longer path, so each one is tried. */
  #isSignedIn(request: IncomingMessage): boolean {
    return cookiesOf(request, this.#cookie).some((token) => this.#matches(token));
  }

  #matches(token: string): boolean {
    return timingSafeEqual(digest(token), digest(this.#token ?? ''));
  }

  #foreign({ headers }: IncomingMessage, host: string): string | undefined {
    const { origin, 'sec-fetch-site': site = 'same-origin' } = headers;
    if (origin !== undefined && !isOrigin(origin, host)) return `The request comes from ${origin}.`;
    if (site !== 'same-origin') return 'The request comes from another site.';
    if (headers[ACTION_HEADER] === undefined) return `The request has no header ${ACTION_HEADER}.`;
    return undefined;
  }
}

/** The header has IPv6 addresses in brackets. */
function inHeader(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** A foreign site may link to the page, but not load parts of it, since reading may be costly for the broker. */
function embedded({ headers }: IncomingMessage): string | undefined {
  const { 'sec-fetch-site': site = 'none', 'sec-fetch-mode': mode, 'sec-fetch-dest': dest } = headers;
  if (site === 'none' || site === 'same-origin') return undefined;
  // A frame navigates, too.
  if (mode === 'navigate' && (dest === undefined || dest === 'document')) return undefined;
  return 'The request comes from another site.';
}

/** A hash, which has the same length for any token. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function isOrigin(origin: string, host: string): boolean {
  return (
    /^https?:\/\//.test(origin) && origin.replace(/^https?:\/\//, '').toLowerCase() === host.toLowerCase()
  );
}

function cookiesOf({ headers }: IncomingMessage, name: string): string[] {
  const cookies = (headers.cookie ?? '').split(';').map((part) => part.trim().split('=', 2));
  return cookies.flatMap(([key, value]) => (key === name && value !== undefined ? [value] : []));
}
