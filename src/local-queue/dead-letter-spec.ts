export { deadLetterSpecOf } from '../common/queue-spec.js';
