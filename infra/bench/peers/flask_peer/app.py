"""Flask-Security-Too on Lambda: its own JSON API for password resets, Flask-SQLAlchemy, and apig-wsgi."""

import os

from apig_wsgi import make_lambda_handler
from flask import Flask
from flask_security import MailUtil, Security, SQLAlchemyUserDatastore
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy

import mail

db = SQLAlchemy()
fsqla_v3.FsModels.set_db_info(db)


class Role(db.Model, fsqla_v3.FsRoleMixin):
    pass


class User(db.Model, fsqla_v3.FsUserMixin):
    pass


class SesMail(MailUtil):
    def send_mail(self, template, subject, recipient, sender, body, html, **kwargs) -> None:
        mail.send(recipient, str(subject), body)


app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["SECRET"],
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ['DATABASE']}",
    WTF_CSRF_ENABLED=False,
    SECURITY_RECOVERABLE=True,
    SECURITY_RETURN_GENERIC_RESPONSES=True,
    SECURITY_PASSWORD_SALT=os.environ["SALT"],
    SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
    SECURITY_EMAIL_HTML=False,
    # No other peer sends a notice of a changed password.
    SECURITY_SEND_PASSWORD_RESET_NOTICE_EMAIL=False,
)
db.init_app(app)
security = Security(app, SQLAlchemyUserDatastore(db, User, Role), mail_util_cls=SesMail)
handler = make_lambda_handler(app)
