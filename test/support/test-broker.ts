/** The RabbitMQ of a test run, as the global set-up hands it to the test files. */
export interface TestBroker {
  readonly amqpUrl: string;
  /** As the server states it. */
  readonly version: string;
  /** Undefined when TEST_AMQP_URL names the broker and TEST_MANAGEMENT_URL is not set. */
  readonly managementUrl: string | undefined;
  /** Id or name. Undefined when TEST_AMQP_URL names the broker and TEST_BROKER_CONTAINER is not set. */
  readonly container: string | undefined;
  /** What it takes to start more of them. Undefined when TEST_AMQP_URL names the broker. */
  readonly more: { readonly image: string; readonly owner: string } | undefined;
}

declare module 'vitest' {
  interface ProvidedContext {
    broker: TestBroker;
  }
}
