"""Creates the database, with the user Ada."""

from flask_security import hash_password

from app import app, db, security

with app.app_context():
    db.create_all()
    security.datastore.create_user(email="ada@example.com", password=hash_password("the first password of Ada"))
    db.session.commit()
