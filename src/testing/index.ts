/** The public names of `millrace/testing`, nothing else. */
export { createContext } from './context.js';
export {
  createRecorder,
  type RecordedDelivery,
  type RecordedEvent,
  type Recorder,
  type RecorderOptions,
} from './recorder.js';
export { type Direction, type Target, TcpProxy } from './tcp-proxy.js';
export { openTestBroker, type TestBrokerOptions } from './test-broker.js';
