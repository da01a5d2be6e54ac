# Mails. They inform and advertise nothing: a mail that asks for a confirmation must not be advertising itself.

greeting = Hello,

confirm-subject = Please confirm your sign-up
confirm-asked = this e-mail address was signed up with { $controller }. Please confirm that it was you and that you consent to the following:
confirm-do = To confirm, open this page, which has the full text of the consent:
confirm-until = The link works once and until { $until }.
confirm-else = If it was not you, or you do not want it, do nothing. Without your confirmation nothing takes effect, you will get no further mail, and what was entered is deleted.

renew-subject = Your consent is about to end
renew-asked = you have given { $controller } a consent that ends on { $ends }:
renew-do = If you want it to go on, declare it anew on this page, which has the full text:
renew-until = The link works once and until { $until }.
renew-else = If you do nothing, the consent ends by itself. You can withdraw it at any time:

fresh-subject = Your link to your data and consents
fresh-asked = a link was asked for at { $controller } by which you can see and change your consents and requests.
fresh-do = Open this page for it:
fresh-until = The link works until { $until }. Do not pass it on.
fresh-else = If it was not you, do nothing. Nobody else was sent this link.

sender = Controller: { $controller }
contact = Contact: { $contact }
privacy = Privacy notice: { $url }
instant = { $date }, { $time } (UTC)
