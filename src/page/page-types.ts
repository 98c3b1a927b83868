/** The public types of the page. Those of Node's requests and responses are declared here, for projects without them. */
import type { Schedule } from '../schedules/schedule.js';

/** The part of `IncomingMessage` that is used; Express and Connect add `originalUrl` and `baseUrl`. */
export interface PageRequest {
  /** As in Node. */
  readonly method?: string | undefined;
  /** As in Node. */
  readonly url?: string | undefined;
  /** As in Node. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** The part of `ServerResponse` that is used. */
export interface PageResponse {
  /** As in Node. */
  writeHead(status: number, headers?: Record<string, string | number>): unknown;
  /** As in Node. */
  end(body?: string): unknown;
}

/** Where a worker's metrics are: the URL of its text for Prometheus, or what `createMetrics` returns in this process. */
export type MetricsSource =
  | string
  | {
      /** The metrics in Prometheus's text format, as the `Metrics` of `millrace/metrics` write them. */
      text(): Promise<string>;
    };

/** The options of `createPage`. All have defaults. */
export interface PageOptions {
  /**
   * The secret that signs a browser in, as `?token=…` in the first URL; a cookie from then on. At least 16 characters.
   * Default: a random one, see {@link Page.token}. `false`: anyone who reaches the page may use it, which is safe only
   * behind your own login.
   */
  readonly token?: string | false | undefined;
  /**
   * The path of the page in the browser's address bar, such as `/queues`, also if a proxy removes a part of it. Express
   * and Connect set it themselves. Default: `''`, the whole server.
   */
  readonly path?: string | undefined;
  /**
   * Host names under which the page is served, in addition to `localhost` and the loopback addresses, as in the header
   * `Host`, without the port. Others are refused, because a foreign site may point its name at this machine.
   */
  readonly hosts?: readonly string[] | undefined;
  /** Only these queues. Default: all; on RabbitMQ this requires the management API. */
  readonly queues?: readonly string[] | undefined;
  /** Their next and last ticks are shown. Default: none. */
  readonly schedules?: readonly Schedule[] | undefined;
  /**
   * The metrics of the workers, such as `http://127.0.0.1:9464/metrics` of `millrace work --http 9464`, for what no broker
   * knows: how long handlers take, and failed attempts per second. Read every five seconds while the page is open.
   * Default: none.
   */
  readonly metrics?: readonly MetricsSource[] | undefined;
  /**
   * When figures are collected for the charts. `'watched'`: while the page is open, so that it costs nothing while nobody
   * looks. `'always'`: also while it is closed, twice a minute. Default: `'watched'`.
   */
  readonly history?: 'watched' | 'always' | undefined;
  /** Disables all actions. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** Hides the bodies and headers of messages, also from downloads. Default: false. */
  readonly hideBodies?: boolean | undefined;
  /** The user who sent a request, for the audit. Default: the client's address. */
  readonly user?: ((request: PageRequest) => string) | undefined;
  /** Called for each action that a user took on the page. Its errors are ignored. Default: a line on standard error. */
  readonly audit?: ((entry: AuditEntry) => void) | undefined;
}

/** An action that a user took on the page. */
export interface AuditEntry {
  /** When it ended. */
  readonly at: Date;
  /** The user, as returned by `user`. */
  readonly user: string;
  /** `pause`, `resume`, `purge`, `move`, `replay`, `drop`, or `stop` of one of the last three. */
  readonly action: string;
  /** The queue that it was done to. */
  readonly queue: string;
  /** The result: how many messages, where to, or why it failed. */
  readonly outcome: string;
  /** Whether it was done; false if it was refused, stopped or failed. */
  readonly ok: boolean;
}

/** A page for operators: a handler of HTTP requests. Made by `createPage`. */
export interface Page {
  /** Answers a request for the page. */
  (request: PageRequest, response: PageResponse): void;
  /** The secret that signs a browser in; undefined with `token: false`. */
  readonly token: string | undefined;
  /** Ends the page's connections and jobs; the broker stays open. Always resolves. */
  close(): Promise<void>;
}
