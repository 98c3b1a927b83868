import { expect, test } from 'vitest';
import { newMessage } from '../../../src/common/message/create-and-check.js';
import { errorReplyTo, remoteFailure } from '../../../src/common/message/reply-format.js';

const request = {
  ...newMessage({ contentType: 'text/plain', body: '' }),
  replyTo: 'millrace.reply.1',
  correlationId: 'c1',
};

test('the text of a failure is cut, so that its reply is not refused for its size', () => {
  const reply = errorReplyTo(request, { code: 'failed', message: `${'x'.repeat(999)}😀 and more` });
  // Half of a character that was cut apart is replaced, since UTF-8 can't carry it.
  expect(remoteFailure(reply)).toEqual({ code: 'failed', message: `${'x'.repeat(999)}\ufffd` });
  expect(reply.correlationId).toBe('c1');
});
