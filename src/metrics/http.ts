/** What is used of a request and a response of `node:http`: named here, since projects without Node's types read this. */

export interface HttpRequest {
  readonly url?: string | undefined;
}

export interface HttpResponse {
  writeHead(status: number, headers?: Record<string, string>): unknown;
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
