// Sends back what comes to port 7000; to port 7001 as many bytes as the line that comes asks for.
// It counts on standard output, twenty lines a second.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	go serve(":7000", func(c net.Conn) { io.Copy(c, c) })
	go serve(":7001", func(c net.Conn) {
		var count int64
		line, _ := bufio.NewReader(c).ReadString('\n')
		fmt.Sscan(line, &count)
		io.CopyN(c, strings.NewReader(strings.Repeat("x", int(count))), count)
	})
	for number := 0; ; number++ {
		fmt.Println("line", number)
		time.Sleep(50 * time.Millisecond)
	}
}

func serve(address string, answer func(net.Conn)) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer connection.Close()
			answer(connection)
		}()
	}
}
