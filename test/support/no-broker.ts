const HINT = 'Install and start Docker, or set TEST_AMQP_URL to a RabbitMQ that the tests may use.';

export const NO_BROKER = 'NoBroker';

/** There is no RabbitMQ for the tests: one line that says why and what to do. */
export function noBroker(reason: string): Error {
  const error = new Error(`No RabbitMQ for the tests: ${reason}. ${HINT}`);
  error.name = NO_BROKER;
  return error;
}
