# Mails. They inform and advertise nothing: a mail that asks for a confirmation must not be advertising itself.

greeting = Guten Tag,

confirm-subject = Bitte bestätigen Sie Ihre Anmeldung
confirm-asked = bei { $controller } wurde diese E-Mail-Adresse angemeldet. Bitte bestätigen Sie, dass Sie das waren und in Folgendes einwilligen:
confirm-do = Zum Bestätigen öffnen Sie diese Seite; dort steht der volle Wortlaut der Einwilligung:
confirm-until = Der Link gilt einmal und bis { $until }.
confirm-else = Wenn Sie das nicht waren oder nicht möchten, müssen Sie nichts tun. Ohne Bestätigung wird nichts wirksam, Sie erhalten keine weitere E-Mail, und die Angaben werden gelöscht.

renew-subject = Ihre Einwilligung läuft ab
renew-asked = Sie haben { $controller } eine Einwilligung gegeben, die am { $ends } endet:
renew-do = Wenn Sie möchten, dass sie weiter gilt, erklären Sie es auf dieser Seite neu; dort steht der volle Wortlaut:
renew-until = Der Link gilt einmal und bis { $until }.
renew-else = Wenn Sie nichts tun, endet die Einwilligung von selbst. Sie können sie jederzeit widerrufen:

fresh-subject = Ihr Link zu Ihren Daten und Einwilligungen
fresh-asked = bei { $controller } wurde ein Link angefordert, mit dem Sie Ihre Einwilligungen und Anträge einsehen und ändern können.
fresh-do = Öffnen Sie dazu diese Seite:
fresh-until = Der Link gilt bis { $until }. Geben Sie ihn nicht weiter.
fresh-else = Wenn Sie das nicht waren, müssen Sie nichts tun. Niemand sonst hat diesen Link erhalten.

sender = Verantwortlich: { $controller }
contact = Kontakt: { $contact }
privacy = Datenschutzhinweise: { $url }
instant = { $date }, { $time } Uhr (UTC)
