/**
 * The public names of `millrace/backend`: what a backend implements, for authors of backends and of tools between a
 * backend and the typed API. Unstable: it may change in any minor version, and docs/compatibility.md says how.
 */
export {
  type Backend,
  type Binding,
  type Broker,
  type BrokerCounts,
  type BrokerEvent,
  type BrokerState,
  DEFAULT_PRIORITY,
  type DeadLetterCode,
  type DeclareMode,
  type DelayedRetry,
  type Delivery,
  type Destination,
  type ExchangeSpec,
  type ExchangeType,
  type Failure,
  type HeaderValue,
  type ListedBinding,
  MAX_PRIORITY,
  type Message,
  type MessageHeaders,
  type PublishOptions,
  type QueueSpec,
  type QueueStats,
  type Replies,
  type ReplyListener,
  type SharedState,
  type SharedStateOptions,
  type SharedStateView,
  type SubscribeOptions,
  type Subscription,
  type WaitOptions,
} from './broker.js';
export { backendOf } from './common/options.js';
