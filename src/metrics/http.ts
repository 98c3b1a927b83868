/** Handlers for `node:http`. The types of its requests and responses are declared here for projects without Node's types. */

/** The part of `IncomingMessage` that is used. */
export interface HttpRequest {
  /** As in Node. */
  readonly url?: string | undefined;
}

/** The part of `ServerResponse` that is used. */
export interface HttpResponse {
  /** As in Node. */
  writeHead(status: number, headers?: Record<string, string>): unknown;
  /** As in Node. */
  end(body?: string): unknown;
}

export function respond(
  response: HttpResponse,
  status: number,
  body = '',
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, headers);
  response.end(body);
}
