"""Sends Django's emails through SES v2."""

from django.core.mail.backends.base import BaseEmailBackend

import mail


class EmailBackend(BaseEmailBackend):
    def send_messages(self, messages) -> int:
        for message in messages:
            mail.send(message.to[0], message.subject, message.body)
        return len(messages)
