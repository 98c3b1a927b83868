export type { BatchContext, BatchHandler, BatchItem } from './batches/batch.js';
export {
  type BatchCallContext,
  type BatchConsumerOptions,
  createBatchConsumer,
} from './batches/create-batch-consumer.js';
export type {
  Binding,
  Broker,
  BrokerCounts,
  BrokerEvent,
  BrokerState,
  ConsumerFigure,
  ConsumerList,
  ConsumersOptions,
  DeadLetterCode,
  DeclareMode,
  DelayedRetry,
  Destination,
  ExchangeSpec,
  ExchangeType,
  Failure,
  HeaderValue,
  Message,
  MessageHeaders,
  MessageState,
  Operator,
  Outage,
  PeekedMessage,
  PeekOptions,
  PeekPage,
  QueueConsumer,
  QueueFigure,
  QueueInfo,
  QueueList,
  QueueRates,
  QueueSpec,
  QueueStats,
  QueuesOptions,
  WaitOptions,
} from './broker.js';
export {
  type CloseOnSignalsOptions,
  type ClosingOnSignals,
  closeOnSignals,
  type SignalName,
  type Stoppable,
} from './close-on-signals.js';
export { operatorOf } from './common/backend-of.js';
export type { Codec, CodecName } from './common/encoding/codec.js';
export type { Around, SendContext } from './common/hooks/around.js';
export type { ProcessTrace, RequestTrace, SendTrace, SettleTrace } from './common/hooks/tracing.js';
export { type DeadLetterHistory, deadLetterHistory } from './common/message/dead-letter-headers.js';
export type { AttemptFailure } from './common/message/failure-headers.js';
export type { Logger } from './common/reporting/logger.js';
export { type ConnectOptions, connect } from './connect.js';
export type {
  Consumer,
  ConsumerCounts,
  ConsumerEvent,
  ConsumerState,
  Handler,
  HandlerContext,
  MessageInfo,
  StopOptions,
  StopResult,
} from './consumer/consumer.js';
export type { ConsumerOptions } from './consumer/consumer-options.js';
export { createConsumer } from './consumer/create-consumer.js';
export type { ThreadedHandler } from './consumer/handler-threads.js';
export type {
  Discriminant,
  HandlersByEvent,
  HandlersByMessage,
  HandlersByType,
} from './consumer/handlers-by-type.js';
export type { BreakerOptions } from './consumer/pace/breaker.js';
export type { KeyOf } from './consumer/pace/line.js';
export type { Rate } from './consumer/pace/rate.js';
export { type ReceiveOptions, receive } from './consumer/receive.js';
export type { Received } from './consumer/received.js';
export type { RetryBackoff, RetryDelays, RetryPolicy } from './consumer/retry-policy.js';
export type { DeadLetter } from './dead-letters/dead-letter.js';
export {
  type DeadLetters,
  type DeadLettersOptions,
  type DropOptions,
  type DropResult,
  deadLetters,
  type ListResult,
} from './dead-letters/dead-letters.js';
export type { ReplayEvent, ReplayOptions, ReplayResult } from './dead-letters/replay.js';
export type { DeadLetterFilter, ScanResult, SelectionOptions } from './dead-letters/selection.js';
export {
  isQueueError,
  Postpone,
  QueueError,
  type QueueErrorCode,
  RejectMessage,
  type RemoteFailure,
  RetryLater,
  type SendManyProgress,
} from './errors.js';
export {
  type BindingOptions,
  defineExchange,
  defineRoute,
  type Exchange,
  type ExchangeOptions,
  type Route,
  type RouteOptions,
} from './exchange.js';
export type { ItemOrder } from './local-queue/item-order.js';
export { type CloseOptions, LocalQueue, type LocalQueueOptions } from './local-queue/local-queue.js';
export type { HeldLock } from './locks/held-lock.js';
export { type AcquireOptions, createLock, type Lock, type LockOptions } from './locks/lock.js';
export { type MoveOptions, type MoveResult, moveMessages } from './operations/move.js';
export type {
  EachValueOptions,
  SendManyCounts,
  SkippedValue,
  SkippedValues,
} from './producer/each-value.js';
export type { MessageOptions } from './producer/message-options.js';
export {
  createProducer,
  type Producer,
  type ProducerOptions,
  type SendManyOptions,
  type SendOptions,
  type SendResult,
  type SendWait,
} from './producer/producer.js';
export {
  createRequester,
  type Requester,
  type RequesterOptions,
  type RequestOptions,
} from './producer/requester.js';
export type { SendManyResult } from './producer/send-many.js';
export type { Values } from './producer/value-source.js';
export {
  type DecodedValue,
  defineQueue,
  type EncodedValue,
  type EventQueue,
  type Queue,
  type QueueOptions,
} from './queue.js';
export type {
  RabbitMqCredentials,
  RabbitMqOptions,
  RabbitMqReconnectOptions,
  RabbitMqTlsOptions,
} from './rabbitmq/options.js';
export type { ScheduleEvent } from './schedules/event-report.js';
export type { CatchUp } from './schedules/progress.js';
export {
  defineSchedule,
  type EventScheduleOptions,
  type Schedule,
  type ScheduledProperties,
  type ScheduledQueue,
  type ScheduleOptions,
  type Tick,
} from './schedules/schedule.js';
export {
  createScheduler,
  forgetSchedule,
  type ScheduleInfo,
  type Scheduler,
  type SchedulerOptions,
} from './schedules/scheduler.js';
export type { ScheduleTarget } from './schedules/target.js';
export type { Timing, TimingSpec } from './schedules/timing.js';
export {
  createPublisher,
  type EventOf,
  type PublishEventOptions,
  type Publisher,
  type PublishManyOptions,
  type PublishManyResult,
  type PublishResult,
} from './topics/publisher.js';
export {
  defineSubscription,
  type ProcessSubscriptionOptions,
  type Subscription,
  type SubscriptionOptions,
} from './topics/subscription.js';
export {
  defineTopic,
  type EventInputs,
  type EventOutputs,
  type EventSchemas,
  type Topic,
  type TopicOptions,
} from './topics/topic.js';
