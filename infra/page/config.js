// The settings of your product. Its colors are at the top of page.css.
export const config = {
  product: "Example App",
  /** An image beside this file, such as "logo.svg", or null to show the key icon. */
  logo: null,
  /** The URL of the API: the stack's output ApiUrl. */
  api: "https://….execute-api.eu-central-1.amazonaws.com",
  /** The URL of this page, exactly as in the template's parameter ResetUrls. */
  resetUrl: "https://app.example.com/password/reset",
  /** The page where users sign in. */
  signIn: "https://app.example.com/sign-in",
  /** The template's parameters PasswordMinLength and TokenLifetimeMinutes. */
  minLength: 8,
  linkMinutes: 60,
};
