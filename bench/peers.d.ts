// The peers are installed in bench/ when they are measured, and need not be there to check the rest.
declare module '@cloudamqp/amqp-client';
declare module '@henrygd/queue';
declare module 'amqp-connection-manager';
declare module 'better-sqlite3';
declare module 'bullmq';
declare module 'fastq';
declare module 'nats';
declare module 'p-queue';
declare module 'pg-boss';
declare module 'plainjob';
declare module 'rabbitmq-client';
declare module 'rascal';
