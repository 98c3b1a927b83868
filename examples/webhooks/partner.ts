/** The receiving side: accepts webhooks, asks for a pause once, and is down for a while. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export class Partner {
  readonly delivered = new Set<string>();
  #requests = 0;
  #isDown = false;
  readonly #server = createServer((request, response) => {
    this.#requests++;
    if (this.#requests === 5) {
      response.writeHead(429, { 'retry-after': '1' });
    } else if (this.#isDown) {
      response.writeHead(503);
    } else {
      this.delivered.add(request.url ?? '');
      response.writeHead(204);
      if (this.delivered.size === 10) this.#goDown();
    }
    response.end();
  });

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #goDown(): void {
    this.#isDown = true;
    setTimeout(() => {
      this.#isDown = false;
    }, 1000);
  }
}
