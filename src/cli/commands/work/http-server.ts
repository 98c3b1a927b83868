/** The HTTP server of a worker: `/metrics`, `/livez` and `/readyz`. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Broker } from '../../../broker.js';
import type { EventLine } from '../../../common/reporting/event-line.js';
import type { Consumer } from '../../../consumer/consumer.js';
import { createHealth, type Health } from '../../../metrics/health.js';
import { createMetrics, type Metrics } from '../../../metrics/metrics.js';
import { CommandError, EXIT } from '../../exit-code.js';
import type { HttpAddress } from '../../option-values.js';

/** How long a client may take to send its request. Milliseconds. */
const REQUEST_LIMIT_MS = 10_000;

/** How long a client may send and read nothing. Milliseconds. */
const IDLE_LIMIT_MS = 30_000;

/** Metrics that are being read at once: each takes the memory of its text until its reader has it. */
const MAX_SCRAPES = 20;

export class HttpServer {
  readonly #server: Server;
  readonly #metrics: Metrics;
  readonly #health: Health;
  #scrapes = 0;

  /** Rejects with a `CommandError` if the address can't be used. */
  static async start(
    { host, port }: HttpAddress,
    { broker, consumer }: { readonly broker: Broker; readonly consumer: Consumer },
  ): Promise<HttpServer> {
    const metrics = createMetrics({ brokers: [broker], queues: [consumer.queue], process: true });
    const server = new HttpServer(metrics, createHealth({ brokers: [broker], consumers: [consumer] }));
    try {
      await server.#listen(host, port);
    } catch (error) {
      await server.close();
      const { message, code } = error as NodeJS.ErrnoException;
      const hint = code === 'EADDRINUSE' ? '; --http 0 picks a free port' : '';
      throw new CommandError(EXIT.failed, `--http ${host}:${port}: ${message}${hint}`, { cause: error });
    }
    return server;
  }

  private constructor(metrics: Metrics, health: Health) {
    this.#metrics = metrics;
    this.#health = health;
    const limits = { requestTimeout: REQUEST_LIMIT_MS, headersTimeout: REQUEST_LIMIT_MS };
    this.#server = createServer(limits, (request, response) => this.#answer(request, response));
    this.#server.setTimeout(IDLE_LIMIT_MS);
  }

  /** The address where it is served. */
  get line(): EventLine {
    const { address, port, family } = this.#server.address() as AddressInfo;
    const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    const text = `metrics at ${url}/metrics, health at ${url}/livez and ${url}/readyz`;
    return { event: 'serving', level: 'info', text, fields: { url } };
  }

  async close(): Promise<void> {
    this.#metrics.stop();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve());
      // The worker decides how long the process lives.
      this.#server.unref();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url?.split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      // A body that is not read must not keep the connection open.
      response.writeHead(405, { allow: 'GET, HEAD', connection: 'close' }).end();
    } else if (path === '/metrics') {
      this.#writeMetrics(request, response);
    } else if (!this.#health.handler(request, response)) {
      response
        .writeHead(404, { 'content-type': 'text/plain' })
        .end('/metrics, /livez and /readyz are here\n');
    }
  }

  #writeMetrics(request: IncomingMessage, response: ServerResponse): void {
    if (this.#scrapes >= MAX_SCRAPES) {
      response.writeHead(503, { 'content-type': 'text/plain' }).end('too many readers of the metrics\n');
      return;
    }
    this.#scrapes++;
    response.once('close', () => this.#scrapes--);
    this.#metrics.handler(request, response);
  }
}
