/**
 * Messages as other clients of RabbitMQ publish them: properties, types of headers and encodings. Numbers say their types,
 * as each client's encoder chooses them. Those of pika, kombu, aio-pika, php-amqplib, Bunny, librabbitmq, Java's and Go's
 * clients are what these programs wrote, byte for byte; the others are made from the documentation and the source.
 */
import type { Options } from 'amqplib';
import type { MessageHeaders } from '../../src/broker.js';

export interface Stranger {
  readonly client: string;
  readonly properties: Options.Publish;
  readonly body: Buffer;
  /** What a handler sees of it. */
  readonly seen: {
    readonly contentType: string;
    readonly headers: MessageHeaders;
  };
  /** Its body is compressed: without a codec that decompresses it, it is a dead letter. */
  readonly isCompressed?: boolean;
}

const int8 = (value: number) => ({ '!': 'int8', value });
const int32 = (value: number) => ({ '!': 'int32', value });
const int64 = (value: bigint) => ({ '!': 'int64', value });
const double = (value: number) => ({ '!': 'double', value });
const timestamp = (value: number) => ({ '!': 'timestamp', value });
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

export const strangers: readonly Stranger[] = [
  {
    client: 'pika, without properties',
    properties: {},
    body: Buffer.from('Hello World!'),
    seen: { contentType: '', headers: {} },
  },
  {
    // pika/data.py: bool t, int I or l by size, float d, datetime T, None V, bytes x, list A, dict F.
    client: 'pika, with every type that it encodes',
    properties: {
      contentType: 'application/json',
      deliveryMode: 2,
      timestamp: 1764000000,
      appId: 'example-publisher',
      headers: {
        flag: true,
        small: int32(7),
        large: int64(1_764_000_000_123_456_789n),
        ratio: double(0.1),
        when: timestamp(1764000000),
        nothing: null,
        raw: Buffer.of(0xde, 0xad),
        list: ['a', int32(1)],
        nested: { key: 'ключ', 値: int32(1) },
      },
    },
    body: json({ مفتاح: 'قيمة' }),
    seen: {
      contentType: 'application/json',
      headers: {
        flag: true,
        small: 7,
        large: 1_764_000_000_123_456_789n,
        ratio: 0.1,
        when: new Date('2025-11-24T16:00:00Z'),
        nothing: null,
        raw: Uint8Array.of(0xde, 0xad),
        list: ['a', 1],
        nested: { key: 'ключ', 値: 1 },
      },
    },
  },
  {
    // Message protocol 2 of Celery 5: ints I, lists A, None V.
    client: 'Celery',
    properties: {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: '3149beef-be66-4b0e-ba47-2fc46e4edac3',
      replyTo: '1e8e1b4d-8a3f-3c3d-9c1a-1f0f3c1f0b52',
      deliveryMode: 2,
      priority: 0,
      headers: {
        lang: 'py',
        task: 'proj.tasks.add',
        id: '3149beef-be66-4b0e-ba47-2fc46e4edac3',
        shadow: null,
        eta: null,
        expires: null,
        group: null,
        group_index: null,
        retries: int32(0),
        timelimit: [null, null],
        root_id: '3149beef-be66-4b0e-ba47-2fc46e4edac3',
        parent_id: null,
        argsrepr: '(2, 2)',
        kwargsrepr: '{}',
        origin: 'gen12345@worker',
        ignore_result: false,
        replaced_task_nesting: int32(0),
        stamped_headers: null,
        stamps: {},
      },
    },
    body: Buffer.from('[[2, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'),
    seen: {
      contentType: 'application/json',
      headers: { task: 'proj.tasks.add', retries: 0, timelimit: [null, null], eta: null, stamps: {} },
    },
  },
  {
    client: 'kombu, with msgpack, which it labels binary',
    properties: {
      contentType: 'application/x-msgpack',
      contentEncoding: 'binary',
      deliveryMode: 2,
      priority: 0,
      headers: {},
    },
    body: Buffer.of(0x81, 0xa1, 0x61, 0x01),
    seen: { contentType: 'application/x-msgpack', headers: {} },
  },
  {
    client: 'kombu, with pickle and zlib, which it says in a header',
    properties: {
      contentType: 'application/x-python-serialize',
      contentEncoding: 'binary',
      deliveryMode: 2,
      priority: 0,
      headers: { compression: 'application/x-gzip' },
    },
    body: Buffer.from('789c6b6099cac50001b5537a1813a7783316eb01002c9204a4', 'hex'),
    seen: {
      contentType: 'application/x-python-serialize',
      headers: { compression: 'application/x-gzip' },
    },
  },
  {
    // aio-pika sets an id and a type only if it is told to, a delivery mode and a priority always. The smallest type that
    // holds it does for a number; a float is text until version 9.
    client: 'aio-pika',
    properties: {
      deliveryMode: 1,
      priority: 0,
      messageId: 'b0a3',
      type: 'order.created',
      timestamp: 1764000000,
      expiration: '60000',
      headers: {
        retries: int8(2),
        'x-request-id': Buffer.from('c0ffee'),
        ratio: Buffer.from('0.5'),
        flag: true,
      },
    },
    body: json({ order: 1 }),
    seen: {
      contentType: '',
      headers: { retries: 2, 'x-request-id': Uint8Array.from(Buffer.from('c0ffee')) },
    },
  },
  {
    // Jackson2JsonMessageConverter; SimpleMessageConverter says no encoding.
    client: 'Spring AMQP',
    properties: {
      contentType: 'application/json',
      contentEncoding: 'UTF-8',
      deliveryMode: 2,
      priority: 0,
      headers: {
        __TypeId__: 'com.example.orders.OrderPlaced',
        __ContentTypeId__: 'java.lang.Object',
        __KeyTypeId__: 'java.lang.String',
        spring_listener_return_correlation: '9f0f1c1e-52b4-4c0b-8a8e-7b1e2d3c4f5a',
        'x-retries-count': int64(3n),
      },
    },
    body: json({ id: 7, total: 12.5 }),
    seen: {
      contentType: 'application/json',
      headers: { __TypeId__: 'com.example.orders.OrderPlaced', 'x-retries-count': 3 },
    },
  },
  {
    // RepublishMessageRecoverer.
    client: 'Spring AMQP, republished with its error',
    properties: {
      contentType: 'application/x-java-serialized-object',
      deliveryMode: 2,
      headers: {
        'x-exception-message': 'Failed to convert message',
        'x-exception-stacktrace': `org.springframework.amqp.rabbit.support.ListenerExecutionFailedException\n${'\tat org.example\n'.repeat(300)}`,
        'x-original-exchange': 'orders',
        'x-original-routingKey': 'placed',
      },
    },
    body: Buffer.of(0xac, 0xed, 0x00, 0x05, 0x74, 0x00, 0x01, 0x61),
    seen: {
      contentType: 'application/x-java-serialized-object',
      headers: { 'x-original-exchange': 'orders' },
    },
  },
  {
    client: 'MassTransit',
    properties: {
      contentType: 'application/vnd.masstransit+json',
      deliveryMode: 2,
      messageId: '00d60000-1a2b-0015-5d3c-08dd0c1f0b52',
      headers: {
        'Content-Type': 'application/vnd.masstransit+json',
        publishId: '1',
        'MT-Activity-Id': '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      },
    },
    body: json({
      messageId: '00d60000-1a2b-0015-5d3c-08dd0c1f0b52',
      messageType: ['urn:message:Shop.Contracts:OrderPlaced'],
      message: { orderId: 7 },
      sentTime: '2026-11-28T08:00:00Z',
      headers: {},
    }),
    seen: { contentType: 'application/vnd.masstransit+json', headers: { publishId: '1' } },
  },
  {
    // RabbitMQ.Client writes strings that are put in as bytes as long strings, and longs as l.
    client: '.NET, with a binary correlation id and long counters',
    properties: {
      contentType: 'text/plain',
      deliveryMode: 2,
      correlationId: 'AAEC/w==',
      type: 'Shop.Contracts.OrderPlaced, Shop.Contracts',
      timestamp: 1764000000,
      headers: { 'x-counter': int64(9_007_199_254_740_993n), 'x-tries': int32(1), 'x-octet': int8(-1) },
    },
    body: Buffer.from('hello'),
    seen: {
      contentType: 'text/plain',
      headers: { 'x-counter': 9_007_199_254_740_993n, 'x-tries': 1, 'x-octet': -1 },
    },
  },
  {
    // ValueWriter.java: Integer I, Long l, Short s, Byte b, Float f, Double d, BigDecimal D, Date T, byte[] x.
    client: 'Java, with every type that it encodes',
    properties: {
      contentType: 'text/plain',
      deliveryMode: 2,
      priority: 9,
      headers: {
        integer: int32(5),
        long: int64(5n),
        short: { '!': 'int16', value: 5 },
        byte: int8(5),
        float: { '!': 'float', value: 0.5 },
        double: double(5),
        decimal: { '!': 'decimal', value: { places: 2, digits: 499 } },
        date: timestamp(1764000000),
        bytes: Buffer.of(1, 2, 3),
        list: [int32(1), 'two'],
        none: null,
      },
    },
    body: Buffer.from('hello'),
    seen: {
      contentType: 'text/plain',
      headers: { integer: 5, long: 5, double: 5, float: 0.5, decimal: 4.99, list: [1, 'two'] },
    },
  },
  {
    // php-amqplib writes times in seconds; many programs give it microseconds.
    client: 'PHP, with a time in microseconds',
    properties: {
      contentType: 'application/json',
      contentEncoding: 'utf8',
      deliveryMode: 2,
      timestamp: 1_764_000_000_123_456,
      headers: {
        attempts: int32(2),
        delay: int32(5000),
        large: int64(9_007_199_254_740_993n),
        tags: ['a', 'b'],
        ratio: '0.5',
        when: timestamp(1764000000),
      },
    },
    body: json({ job: 'App\\Jobs\\SendMail', data: { id: 1 } }),
    seen: { contentType: 'application/json', headers: { attempts: 2, delay: 5000, tags: ['a', 'b'] } },
  },
  {
    // amqp091-go: int32 I, int64 l, float32 f, time.Time T, Table F; Watermill puts its id into a header.
    client: 'Go, and Watermill',
    properties: {
      contentType: 'application/octet-stream',
      deliveryMode: 2,
      timestamp: 1764000000,
      headers: {
        _watermill_message_uuid: '7f2b1c66-2a0e-4f9f-9d0b-1a2b3c4d5e6f',
        count: int64(1n),
        rate: { '!': 'float', value: 0.25 },
        table: { at: timestamp(1764000000) },
      },
    },
    body: Buffer.from('hello'),
    seen: { contentType: 'application/octet-stream', headers: { count: 1, rate: 0.25 } },
  },
  {
    // Every integer is a long, and a symbol is text.
    client: 'Bunny, for Ruby',
    properties: {
      contentType: 'application/json',
      deliveryMode: 2,
      priority: 0,
      timestamp: 1764000000,
      type: 'order.created',
      appId: 'shop',
      headers: {
        int: int64(5n),
        large: int64(1_099_511_627_776n),
        float: double(0.1),
        flag: true,
        none: null,
        list: ['a', int64(1n)],
        map: { k: 'v' },
        time: timestamp(1764000000),
        symbol: 'abc',
      },
    },
    body: json({ a: 1 }),
    seen: { contentType: 'application/json', headers: { symbol: 'abc' } },
  },
  {
    // amqp-publish. Not persistent unless it is told to be.
    client: 'librabbitmq, for C',
    properties: {
      contentType: 'text/plain',
      contentEncoding: 'utf-8',
      deliveryMode: 1,
      headers: { tenant: 'blue', count: '5' },
    },
    body: Buffer.from('hello'),
    seen: { contentType: 'text/plain', headers: { tenant: 'blue', count: '5' } },
  },
  {
    // add-forward-headers and add-timestamp-header of a dynamic shovel.
    client: 'a shovel',
    properties: {
      deliveryMode: 2,
      headers: {
        'x-shovelled': [
          {
            'shovelled-by': 'rabbit@one',
            'shovel-type': 'dynamic',
            'shovel-name': 'move',
            'shovel-vhost': '/',
            'src-uri': 'amqp://one',
            'dest-uri': 'amqp://two',
            'src-queue': 'orders',
          },
        ],
        'x-shovelled-timestamp': int64(1764000000n),
      },
    },
    body: Buffer.from('hello'),
    seen: { contentType: '', headers: { 'x-shovelled-timestamp': 1_764_000_000 } },
  },
  {
    // "Move messages" takes what a queue has dead-lettered, with all that the broker wrote onto it.
    client: 'the management page, of a message that a quorum queue had dead-lettered',
    properties: {
      deliveryMode: 2,
      headers: {
        'x-acquired-count': int64(21n),
        'x-delivery-count': int64(21n),
        'x-death': [
          {
            count: int64(1n),
            reason: 'rejected',
            queue: 'elsewhere',
            time: timestamp(1764000000),
            exchange: '',
            'routing-keys': ['elsewhere'],
          },
        ],
        'x-first-death-exchange': '',
        'x-first-death-queue': 'elsewhere',
        'x-first-death-reason': 'rejected',
      },
    },
    body: Buffer.from('hello'),
    seen: { contentType: '', headers: { 'x-delivery-count': 21 } },
  },
  {
    client: 'a program that compresses its bodies',
    properties: {
      contentType: 'application/json',
      contentEncoding: 'gzip',
      deliveryMode: 2,
      messageId: 'zip',
    },
    body: Buffer.of(0x1f, 0x8b, 0x08, 0x00),
    seen: { contentType: 'application/json', headers: {} },
    isCompressed: true,
  },
];
