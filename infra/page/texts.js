// Every text of the page, by language. A text with a part that varies is a function. `{email}` stands for the address.

const en = {
  dir: "ltr",
  title: { forgot: "Forgot your password?", sent: "Check your inbox", reset: "Set a new password",
    done: "Your password is changed", bad: "This link no longer works" },
  forgotIntro: "Enter your email address, and we will send you a link to set a new password.",
  email: "Email address",
  send: "Send reset link",
  sending: "Sending…",
  backToSignIn: "Back to sign-in",
  sentIntro: (lifetime) =>
    `If an account exists for {email}, you will receive an email with a reset link. The link works for ${lifetime}.`,
  sentSpam: "No email? Look in your spam folder.",
  sendAgain: "Send again",
  sendAgainIn: (time) => `Send again in ${time}`,
  sentAgain: "If an account exists for this address, another email is on its way.",
  otherAddress: "Use another address",
  account: "Account",
  password: "New password",
  passwordHint: (least) => `At least ${least} characters.`,
  confirmation: "New password again",
  showPassword: "Show password",
  save: "Save new password",
  saving: "Saving…",
  doneIntro:
    "Sign in with your new password. No earlier reset link works any more, and an email to {email} confirms the change.",
  signIn: "Sign in",
  bad: {
    bad_token: "It was used, has expired, or was replaced by a change of your password.",
    incomplete: "Open it from the email again, or copy all of it.",
    damaged: "Open it from the email again, or copy all of it.",
    reloaded: "Open the link in your email again. For your safety, this page does not keep it.",
  },
  badTitle: { incomplete: "This link is not complete", damaged: "This link is damaged",
    reloaded: "Open the link again" },
  newLink: "Send a new link",
  errors: {
    required: "Fill in this field.",
    not_an_address: "Enter an email address, like ada@example.com.",
    too_short: ({ min_length: least }) => `Use at least ${least} characters.`,
    too_long: ({ max_length: most }) => `Use at most ${most} characters.`,
    too_weak: "This password is too easy to guess.",
    made_of_context: "Do not use your email address or the name of this service.",
    leaked: "This password appears in data leaks, so attackers try it first. Choose another one.",
    not_the_same: "The passwords differ.",
  },
  tooMany: (when) => `Too many attempts. Try again ${when}.`,
  unavailable: (when) => `We can't do this right now. Try again ${when}.`,
  ourFault: "Something went wrong on our side. Try again later.",
  pageFault: "Something went wrong on this page. Reload it and try again.",
  unanswered: "The server did not answer. Check your connection and try again.",
  unansweredReset: "The server did not answer, so your password may or may not be changed. Check your connection and try again.",
  soon: "in a moment",
};

const de = {
  dir: "ltr",
  title: { forgot: "Passwort vergessen?", sent: "Sehen Sie in Ihr Postfach", reset: "Neues Passwort festlegen",
    done: "Ihr Passwort ist geändert", bad: "Dieser Link funktioniert nicht mehr" },
  forgotIntro: "Geben Sie Ihre E-Mail-Adresse ein. Wir senden Ihnen einen Link, mit dem Sie ein neues Passwort festlegen.",
  email: "E-Mail-Adresse",
  send: "Link senden",
  sending: "Wird gesendet …",
  backToSignIn: "Zurück zur Anmeldung",
  sentIntro: (lifetime) =>
    `Falls es zu {email} ein Konto gibt, erhalten Sie eine E-Mail mit einem Link. Der Link gilt ${lifetime}.`,
  sentSpam: "Keine E-Mail? Sehen Sie im Spam-Ordner nach.",
  sendAgain: "Erneut senden",
  sendAgainIn: (time) => `Erneut senden in ${time}`,
  sentAgain: "Falls es zu dieser Adresse ein Konto gibt, ist eine weitere E-Mail unterwegs.",
  otherAddress: "Andere Adresse verwenden",
  account: "Konto",
  password: "Neues Passwort",
  passwordHint: (least) => `Mindestens ${least} Zeichen.`,
  confirmation: "Neues Passwort wiederholen",
  showPassword: "Passwort anzeigen",
  save: "Neues Passwort speichern",
  saving: "Wird gespeichert …",
  doneIntro:
    "Melden Sie sich mit Ihrem neuen Passwort an. Frühere Links gelten nicht mehr; eine E-Mail an {email} bestätigt die Änderung.",
  signIn: "Anmelden",
  bad: {
    bad_token: "Er wurde schon verwendet, ist abgelaufen oder gilt seit einer Änderung Ihres Passworts nicht mehr.",
    incomplete: "Öffnen Sie ihn noch einmal aus der E-Mail, oder kopieren Sie ihn ganz.",
    damaged: "Öffnen Sie ihn noch einmal aus der E-Mail, oder kopieren Sie ihn ganz.",
    reloaded: "Öffnen Sie den Link in Ihrer E-Mail noch einmal. Zu Ihrer Sicherheit speichert diese Seite ihn nicht.",
  },
  badTitle: { incomplete: "Dieser Link ist nicht vollständig", damaged: "Dieser Link ist beschädigt",
    reloaded: "Öffnen Sie den Link noch einmal" },
  newLink: "Neuen Link senden",
  errors: {
    required: "Füllen Sie dieses Feld aus.",
    not_an_address: "Geben Sie eine E-Mail-Adresse ein, zum Beispiel ada@example.com.",
    too_short: ({ min_length: least }) => `Verwenden Sie mindestens ${least} Zeichen.`,
    too_long: ({ max_length: most }) => `Verwenden Sie höchstens ${most} Zeichen.`,
    too_weak: "Dieses Passwort ist zu leicht zu erraten.",
    made_of_context: "Verwenden Sie nicht Ihre E-Mail-Adresse oder den Namen dieses Dienstes.",
    leaked: "Dieses Passwort ist aus Datenlecks bekannt. Angreifer probieren es zuerst. Wählen Sie ein anderes.",
    not_the_same: "Die Passwörter stimmen nicht überein.",
  },
  tooMany: (when) => `Zu viele Versuche. Versuchen Sie es ${when} noch einmal.`,
  unavailable: (when) => `Das ist im Moment nicht möglich. Versuchen Sie es ${when} noch einmal.`,
  ourFault: "Bei uns ist ein Fehler aufgetreten. Versuchen Sie es später noch einmal.",
  pageFault: "Auf dieser Seite ist ein Fehler aufgetreten. Laden Sie sie neu, und versuchen Sie es noch einmal.",
  unanswered: "Der Server antwortet nicht. Prüfen Sie Ihre Verbindung, und versuchen Sie es noch einmal.",
  unansweredReset: "Der Server antwortet nicht. Ihr Passwort ist vielleicht geändert, vielleicht nicht. Prüfen Sie Ihre Verbindung, und versuchen Sie es noch einmal.",
  soon: "in Kürze",
};

const byLanguage = { en, de };

/** The first of the browser's languages that there are texts in, else English. */
export const language = navigator.languages
  .map((tag) => tag.toLowerCase().split("-")[0])
  .find((tag) => tag in byLanguage) ?? "en";

export const texts = byLanguage[language];

/** "60 minutes", or "2 hours" where it is whole hours. */
export function duration(minutes) {
  const [value, unit] = minutes % 60 === 0 ? [minutes / 60, "hour"] : [minutes, "minute"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(value);
}

/** "in 30 seconds" or "in 2 minutes". */
export function soon(seconds) {
  if (!(seconds > 0)) return texts.soon;
  const format = new Intl.RelativeTimeFormat(language);
  return seconds < 100 ? format.format(seconds, "second") : format.format(Math.ceil(seconds / 60), "minute");
}
