import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as a collector receives it. */
export interface ReceivedSpan {
  readonly service: string;
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly isError: boolean;
}

type Attribute = { readonly key: string; readonly value: Record<string, unknown> };

/** An OTLP endpoint (HTTP with JSON) that keeps what it is told. */
export async function receiver(): Promise<{
  readonly url: string;
  readonly spans: ReceivedSpan[];
  close(): void;
}> {
  const spans: ReceivedSpan[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      spans.push(...read(JSON.parse(Buffer.concat(chunks).toString('utf8'))));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`, spans, close };
}

// biome-ignore lint/suspicious/noExplicitAny: it is what the wire brings
function read(body: any): ReceivedSpan[] {
  const spans: ReceivedSpan[] = [];
  for (const { resource, scopeSpans } of body.resourceSpans) {
    const service = String(valuesOf(resource.attributes)['service.name']);
    for (const { spans: some } of scopeSpans) {
      for (const { name, kind, traceId, spanId, parentSpanId = '', links = [], attributes, status } of some) {
        const isError = status?.code === 2;
        spans.push({
          service,
          name,
          kind,
          traceId,
          spanId,
          parentSpanId,
          links,
          attributes: valuesOf(attributes),
          isError,
        });
      }
    }
  }
  return spans;
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
